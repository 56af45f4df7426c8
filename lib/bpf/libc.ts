import koffi from 'koffi';
import type { Bound, Pointer } from './libbpf.ts';

type Memory = Uint8Array | Pointer | null;

/** Functions of libc; int functions give -1 and set errno (`lastErrno` right after the call). */
export interface Libc {
  mmap: Bound<[address: null, length: number, protection: number, flags: number, fd: number, offset: number], Pointer>;
  munmap: Bound<[address: Pointer, length: number], number>;
  /** Variadic in C; with integers only, x86-64 and arm64 Linux pass them alike. */
  fcntl: Bound<[fd: number, command: number, argument: number], number>;
  flock: Bound<[fd: number, operation: number], number>;
  getpagesize: Bound<[], number>;
  mount: Bound<[source: string, target: string, type: string, flags: number, data: string], number>;
  umount2: Bound<[target: string, flags: number], number>;
  setns: Bound<[fd: number, type: number], number>;
  socket: Bound<[domain: number, type: number, protocol: number], number>;
  send: Bound<[fd: number, bytes: Memory, size: number, flags: number], number>;
  recv: Bound<[fd: number, bytes: Memory, size: number, flags: number], number>;
  bind: Bound<[fd: number, address: Memory, size: number], number>;
  getsockopt: Bound<[fd: number, level: number, option: number, value: Memory, size: Memory], number>;
  setsockopt: Bound<[fd: number, level: number, option: number, value: Memory, size: number], number>;
  recvfrom: Bound<[fd: number, bytes: Memory, size: number, flags: number, sender: Memory, senderSize: Memory], number>;
  vsnprintf: Bound<[out: Memory, size: number, format: Pointer, args: Pointer], number>;
}

const POINTER = 'void *';
const SIGNATURES: Record<keyof Libc, readonly [result: string, ...args: string[]]> = {
  mmap: [POINTER, POINTER, 'size_t', 'int', 'int', 'int', 'int64'],
  munmap: ['int', POINTER, 'size_t'],
  fcntl: ['int', 'int', 'int', 'int'],
  flock: ['int', 'int', 'int'],
  getpagesize: ['int'],
  mount: ['int', 'str', 'str', 'str', 'ulong', 'str'],
  umount2: ['int', 'str', 'int'],
  setns: ['int', 'int', 'int'],
  socket: ['int', 'int', 'int', 'int'],
  send: ['int64', 'int', POINTER, 'size_t', 'int'],
  recv: ['int64', 'int', POINTER, 'size_t', 'int'],
  bind: ['int', 'int', POINTER, 'uint32'],
  getsockopt: ['int', 'int', 'int', 'int', POINTER, POINTER],
  setsockopt: ['int', 'int', 'int', 'int', POINTER, 'uint32'],
  recvfrom: ['int64', 'int', POINTER, 'size_t', 'int', POINTER, POINTER],
  vsnprintf: ['int', POINTER, 'size_t', POINTER, POINTER],
};

let loaded: Libc | undefined;

/** The libc that this process runs on. */
export function libc(): Libc {
  if (loaded === undefined) {
    const library = koffi.load(null);
    const bind = ([name, [result, ...args]]: [string, readonly [string, ...string[]]]): [string, unknown] => [
      name,
      library.func(name, result, args),
    ];
    loaded = Object.fromEntries(Object.entries(SIGNATURES).map(bind)) as unknown as Libc;
  }
  return loaded;
}

let trim: ((pad: number) => number) | null | undefined;

/** Gives memory that C freed back to the system: 1-3 ms. glibc only; elsewhere it does nothing. */
export function trimHeap(): void {
  if (trim === undefined) {
    try {
      trim = koffi.load(null).func('malloc_trim', 'int', ['size_t']);
    } catch {
      trim = null;
    }
  }
  trim?.(0);
}
