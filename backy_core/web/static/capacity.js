// How much a level holds and what it survives, by the figures that its backend declares.

/** How many drives' worth of data so many drives hold. */
function dataDrives(level, number) {
  return level.copies === null ? 1 : Math.floor((number - level.parity) / level.copies);
}

export const levelFits = (level, number) =>
  number >= level.minDrives && (level.maxDrives === null || number <= level.maxDrives);

/** Bytes, about: filesystem and metadata take some. Without redundancy each drive counts in full. */
export function capacity(level, drives) {
  const sizes = drives.map((drive) => drive.size);
  if (level.copies === 1 && level.parity === 0) return sizes.reduce((sum, size) => sum + size, 0);
  return dataDrives(level, drives.length) * Math.min(...sizes);
}

/** How many drives may fail, whichever they are. */
export function keeps(level, number) {
  return level.parity + (level.copies === null ? number : level.copies) - 1;
}

/** The different sizes of logical sectors, if there is more than one. */
export function mixedSectors(drives) {
  const sizes = [...new Set(drives.map((drive) => drive.sectorSize))].sort((a, b) => a - b);
  return sizes.length > 1 ? sizes : null;
}

/** The least and the largest size, if they differ by more than one in a hundred. */
export function mixedSizes(drives) {
  const sizes = drives.map((drive) => drive.size);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  return drives.length > 1 && most > least * 1.01 ? { least, most } : null;
}
