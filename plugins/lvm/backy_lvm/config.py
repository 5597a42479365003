"""The ``--config`` of every LVM command, which overrides the host's ``lvm.conf``.

It sets everything that would change a report's form, the devices LVM sees, or whether a command
has an effect. The values are LVM's defaults, except for dmeventd. ``--config`` also overrides
``lvmlocal.conf`` and profiles, and the agent passes no ``LVM_*`` variable on. ``volume_list`` has
no value that means "unset", so it names the pool's own group.
"""

from __future__ import annotations

_GENERAL = (
    # dmeventd would be started as a child of the agent, and replace drives by a policy of its own.
    "activation{monitoring=0 read_only_volume_list=[]%s}",
    "config{abort_on_errors=0}",
    'devices{dir="/dev" scan=["/dev"] filter=["a|.*|"] global_filter=["a|.*|"] hints="none"',
    "md_component_detection=1 multipath_component_detection=1 pv_min_size=2048 issue_discards=0",
    "allow_changes_with_duplicate_pvs=0 allow_mixed_block_sizes=0}",
    "allocation{raid_stripe_all_devices=0 use_blkid_wiping=1 physical_extent_size=4096}",
    "global{test=0 activation=1 metadata_read_only=0 use_lvmlockd=0%s}",
    "metadata{pvmetadatacopies=1 vgmetadatacopies=0 pvmetadataignore=0}",
    # With a format that this LVM does not know every command fails.
    'report{output_format="basic"%s} log{report_command_log=0%s}',
)
_SETTINGS = " ".join(_GENERAL)
_REPORT = (
    ' compact_output=0 compact_output_cols="" buffered=1 headings=1 prefixes=0 quoted=1'
    ' columns_as_rows=0 binary_values_as_numeric=0 mark_hidden_devices=1 list_item_separator=","'
    ' two_word_unknown_device=0 pvs_sort_full="pv_name" lvs_sort_full="vg_name,lv_name"',
    ' verbose=0 prefix="  " command_names=0',
)
_NO_SYSTEM_ID = ' system_id_source="none"'
"""A system ID hides a volume group from every other host."""


def config(group: str = "", *, no_system_id: bool = False) -> str:
    """Settings of a command. ``group``: the volume group it may activate a volume of."""
    activated = f' volume_list=["{group}"]' if group else ""
    return _SETTINGS % (activated, _NO_SYSTEM_ID if no_system_id else "", "", "")


def report_config() -> str:
    """Settings of a command that reports."""
    return _SETTINGS % ("", "", *_REPORT)
