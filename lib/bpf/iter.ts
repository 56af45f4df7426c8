import { close as closeFd, read as readFd } from 'node:fs';
import { promisify } from 'node:util';
import { bpfError } from './errno.ts';
import { libbpf } from './libbpf.ts';
import { FdLink } from './link.ts';
import type { BpfIterLink } from './types.ts';

const readAsync = promisify(readFd);
const closeAsync = promisify(closeFd);

/**
 * Storage iterators never yield within one read (no BPF_ITER_RESCHED in kernel/bpf/bpf_iter.c), but a read ends when
 * its buffer is full: with a byte emitted a socket, 2048 bytes are 2048 sockets, about two milliseconds of a pool thread.
 * Smaller reads cost more: each walks its bucket from the start (20,000 sockets: 36 ms with 512, 24 ms with 2048).
 */
const CHUNK_BYTES = 2048;

/** An attached iterator program; each `run` opens it anew and reads it to the end. */
export class IterLink extends FdLink implements BpfIterLink {
  readonly #chunk = Buffer.alloc(CHUNK_BYTES);
  #lastPass: Promise<unknown> = Promise.resolve();

  constructor(fd: number) {
    super('iter', fd);
  }

  run(): Promise<number> {
    const pass = this.#lastPass.then(() => this.lifetime.hold(() => this.#readToEnd()));
    // A pass that failed must not fail those behind it.
    this.#lastPass = pass.catch(() => undefined);
    return pass;
  }

  async #readToEnd(): Promise<number> {
    const fd = libbpf().bpf_iter_create(this.fd);
    if (fd < 0) throw bpfError('BPF_SYSTEM_FAILED', 'the iterator cannot be opened', fd);
    try {
      let total = 0;
      // close() during a pass ends it at the next chunk.
      while (!this.lifetime.closed) {
        const bytes = await readChunk(fd, this.#chunk);
        if (bytes === 0) break;
        if (bytes > 0) total += bytes;
      }
      return total;
    } finally {
      await closeAsync(fd);
    }
  }
}

/** Bytes read; -1 if the kernel wants to be asked again: EAGAIN after a million objects that emitted nothing. */
async function readChunk(fd: number, chunk: Buffer): Promise<number> {
  try {
    return (await readAsync(fd, chunk, 0, chunk.length, null)).bytesRead;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'EAGAIN' || code === 'EINTR') return -1;
    throw bpfError('BPF_SYSTEM_FAILED', 'the iterator cannot be read', (error as NodeJS.ErrnoException).errno ?? 0);
  }
}
