import { cString, type ElfObject } from './elf.ts';

/**
 * Finds the place of a C statement in an object's line info (.BTF.ext, Documentation/bpf/btf.rst §4.2). Kernels
 * before 6.8 quote the statement in the verifier's log without saying where it stands.
 * @returns `file.bpf.c:12`; undefined if the text is not found or stands on several lines
 */
export function findSourceLine(elf: ElfObject, statement: string): string | undefined {
  const ext = elf.sections.find(({ name }) => name === '.BTF.ext')?.data;
  const btf = elf.sections.find(({ name }) => name === '.BTF')?.data;
  if (ext === undefined || btf === undefined) return undefined;
  try {
    const places = new Set(matches(viewOf(ext), stringsOf(btf), statement.trim()));
    const [only] = places;
    return places.size === 1 ? only : undefined;
  } catch (error) {
    // Damaged line info is no reason to hide the verifier's words.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function* matches(ext: DataView, strings: Uint8Array, statement: string): Generator<string> {
  const headerSize = ext.getUint32(4, true);
  const start = headerSize + ext.getUint32(16, true);
  const end = start + ext.getUint32(20, true);
  const recordSize = ext.getUint32(start, true);
  let at = start + 4;
  while (at < end) {
    const records = ext.getUint32(at + 4, true);
    at += 8;
    for (let index = 0; index < records; index++, at += recordSize) {
      if (cString(strings, ext.getUint32(at + 8, true)).trim() !== statement) continue;
      const file = cString(strings, ext.getUint32(at + 4, true)).replace(/^.*\//, '');
      yield `${file}:${ext.getUint32(at + 12, true) >>> 10}`;
    }
  }
}

function stringsOf(btf: Uint8Array): Uint8Array {
  const view = viewOf(btf);
  const start = view.getUint32(4, true) + view.getUint32(16, true);
  return btf.subarray(start, start + view.getUint32(20, true));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
