import koffi from 'koffi';
import { closeSync } from 'node:fs';
import { linkInfo, mapInfo, programName } from '../../../lib/bpf/info.ts';

const lib = koffi.load(process.env['NETLOOM_LIBBPF'] ?? 'libbpf.so.1');
const kinds = ['prog', 'map', 'link'] as const;
type Kind = (typeof kinds)[number];
const nextId = perKind((kind) => lib.func(`int bpf_${kind}_get_next_id(uint32_t start, _Out_ uint32_t *next)`));
const fdById = perKind((kind) => lib.func(`int bpf_${kind}_get_fd_by_id(uint32_t id)`));

/** BPF objects that this kernel has just now, of everybody: programs and maps by id with their names, links with their programs. */
export interface KernelObjects {
  readonly programs: ReadonlyMap<number, string>;
  readonly maps: ReadonlyMap<number, string>;
  readonly links: ReadonlyMap<number, number>;
}

export function kernelObjects(): KernelObjects {
  return {
    programs: listAll('prog', programName),
    maps: listAll('map', (fd) => mapInfo(fd).name),
    links: listAll('link', (fd) => linkInfo(fd).programId),
  };
}

function listAll<T>(kind: Kind, read: (fd: number) => T): Map<number, T> {
  const found = new Map<number, T>();
  const next: [number] = [0];
  while (nextId[kind](next[0], next) === 0) {
    const fd = fdById[kind](next[0]);
    // It went meanwhile.
    if (fd < 0) continue;
    try {
      found.set(next[0], read(fd));
    } finally {
      closeSync(fd);
    }
  }
  return found;
}

function perKind<T>(make: (kind: Kind) => T): Record<Kind, T> {
  return Object.fromEntries(kinds.map((kind) => [kind, make(kind)])) as Record<Kind, T>;
}
