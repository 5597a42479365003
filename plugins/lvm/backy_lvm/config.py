"""The ``--config`` of every LVM command, which overrides the host's ``lvm.conf``.

It sets everything that would change a report's form, the devices LVM sees, or whether a command
has an effect. The values are LVM's defaults, except for dmeventd. ``--config`` also overrides
``lvmlocal.conf`` and profiles, and the agent passes no ``LVM_*`` variable on. ``volume_list`` has
no value that means "unset", so it names the pool's own group.
"""

from __future__ import annotations

_SETTINGS = {
    # dmeventd would be started as a child of the agent, and replace drives by a policy of its own.
    "activation": "monitoring=0 read_only_volume_list=[]",
    "config": "abort_on_errors=0",
    "devices": 'dir="/dev" scan=["/dev"] filter=["a|.*|"] global_filter=["a|.*|"] hints="none"'
    " md_component_detection=1 multipath_component_detection=1 pv_min_size=2048 issue_discards=0"
    " allow_changes_with_duplicate_pvs=0 allow_mixed_block_sizes=0",
    "allocation": "raid_stripe_all_devices=0 use_blkid_wiping=1 physical_extent_size=4096",
    "global": "test=0 activation=1 metadata_read_only=0 use_lvmlockd=0",
    "metadata": "pvmetadatacopies=1 vgmetadatacopies=0 pvmetadataignore=0",
    # With a format that this LVM does not know every command fails.
    "report": 'output_format="basic"',
    "log": "report_command_log=0",
}


def config(**more: str) -> str:
    """The settings of a command, with ``more`` of them by section."""
    sections = {name: f"{text} {more.get(name, '')}" for name, text in _SETTINGS.items()}
    return " ".join(f"{name}{{{text.rstrip()}}}" for name, text in sections.items())


def activating(group: str) -> str:
    """The settings of a command that activates a volume of this group."""
    return config(activation=f'volume_list=["{group}"]')


NO_SYSTEM_ID = config(**{"global": 'system_id_source="none"'})
"""A system ID hides a volume group from every other host."""
