/** An archive in cpio's "newc" form, which the kernel unpacks as its first file system (driver-api/early-userspace). Pure. */

export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  readonly content: { readonly file: Uint8Array; readonly executable?: boolean } | { readonly link: string };
}

const MODE = { folder: 0o040755, file: 0o100644, executable: 0o100755, link: 0o120777 } as const;
const MAGIC = '070701';
const TRAILER = 'TRAILER!!!';

/** Parts of the archive, to be written one after another; folders are made as needed. */
export function cpioParts(entries: readonly CpioEntry[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  const folders = new Set<string>();
  let inode = 1;
  const add = (path: string, mode: number, data: Uint8Array): void => {
    const name = Buffer.from(`${path}\0`);
    const fields = [inode++, mode, 0, 0, 1, 0, data.length, 0, 0, 0, 0, name.length, 0];
    const header = Buffer.from(MAGIC + fields.map((field) => field.toString(16).padStart(8, '0')).join(''));
    parts.push(padded(Buffer.concat([header, name])), padded(data));
  };
  for (const { path, content } of entries) {
    const names = path.split('/');
    for (let depth = 1; depth < names.length; depth++) {
      const folder = names.slice(0, depth).join('/');
      if (folders.has(folder)) continue;
      folders.add(folder);
      add(folder, MODE.folder, new Uint8Array());
    }
    if ('link' in content) add(path, MODE.link, Buffer.from(content.link));
    else add(path, content.executable === true ? MODE.executable : MODE.file, content.file);
  }
  add(TRAILER, 0, new Uint8Array());
  return parts;
}

/** Headers with their names, and contents, begin at multiples of 4. */
function padded(bytes: Uint8Array): Uint8Array {
  const rest = bytes.length % 4;
  return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - rest)]);
}
