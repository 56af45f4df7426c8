import { closeSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import { bpfError } from './errno.ts';
import { addressOf, libbpf } from './libbpf.ts';
import { Lifetime } from './lifetime.ts';
import { pinFd } from './pin.ts';
import type { BpfLink, LinkKind } from './types.ts';

/** A link that the kernel keeps for as long as its descriptor or a pin of it exists. */
export class FdLink implements BpfLink {
  readonly kind: LinkKind;
  protected readonly lifetime: Lifetime;
  protected readonly fd: number;
  readonly #pins: string[] = [];

  constructor(kind: LinkKind, fd: number) {
    this.kind = kind;
    this.fd = fd;
    this.lifetime = new Lifetime(`${kind} link`, () => closeSync(fd));
  }

  get closed(): boolean {
    return this.lifetime.closed;
  }

  pin(path: string): void {
    this.lifetime.assertOpen();
    pinFd(this.fd, path, `${this.kind} link`);
    this.#pins.push(path);
  }

  pinOver(path: string): void {
    const beside = `${path}_next`;
    rmSync(beside, { force: true });
    this.pin(beside);
    renameSync(beside, path);
    this.#pins.splice(this.#pins.indexOf(beside), 1, path);
  }

  detach(): void {
    for (const path of this.#pins.splice(0)) {
      try {
        unlinkSync(path);
      } catch {
        // Somebody removed the pin already: that is what was wanted.
      }
    }
    this.close();
  }

  close(): void {
    this.lifetime.close();
  }
}

/** struct bpf_link_create_opts up to target_btf_id: the part that all versions of libbpf 1.x share. */
const LINK_CREATE_OPTS_SIZE = 32;

/** @throws NetloomError BPF_ATTACH_FAILED, BPF_NOT_PERMITTED */
export function createLink(
  programFd: number,
  targetFd: number,
  attachType: number,
  opts: Buffer,
  what: string,
): number {
  const fd = tryCreateLink(programFd, targetFd, attachType, opts);
  if (fd < 0) throw bpfError('BPF_ATTACH_FAILED', what, fd);
  return fd;
}

/** The link's descriptor, or -errno. */
export function tryCreateLink(programFd: number, targetFd: number, attachType: number, opts: Buffer): number {
  return libbpf().bpf_link_create(programFd, targetFd, attachType, opts);
}

/** @param iterInfo union bpf_iter_link_info; must be kept until the link was created */
export function linkOpts(flags = 0, iterInfo?: Uint8Array): Buffer {
  const opts = Buffer.alloc(LINK_CREATE_OPTS_SIZE);
  opts.writeBigUInt64LE(BigInt(LINK_CREATE_OPTS_SIZE), 0);
  opts.writeUInt32LE(flags, 8);
  if (iterInfo !== undefined) {
    opts.writeBigUInt64LE(addressOf(iterInfo), 16);
    opts.writeUInt32LE(iterInfo.length, 24);
  }
  return opts;
}
