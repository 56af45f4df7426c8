import { closeSync } from 'node:fs';
import { NetloomError } from '../errors.ts';
import { EEXIST, EINVAL, ENOTSUPP, EOPNOTSUPP, bpfError } from './errno.ts';
import { libbpf } from './libbpf.ts';
import { FdLink, linkOpts, tryCreateLink } from './link.ts';
import { currentNetnsInode, inNetns, openCurrentNetns } from './netns.ts';
import { clsactProgramId, removeClsactFilter, removeEmptyClsact } from './clsact.ts';
import { TC_POINT, TC_POINT_BOTH, tcHook, tcOpts } from './tc-hook.ts';
import type { BpfLink, TcDirection, TcxOptions } from './types.ts';

/** enum bpf_attach_type of linux/bpf.h (6.6; the headers of Debian 12 do not have them yet). */
const BPF_TCX = { ingress: 46, egress: 47 } as const;
/** Without a relative program: before all others (kernel/bpf/mprog.c). */
const BPF_F_BEFORE = 8;

/** First in the chain; see `BpfProgram.attachTcx`. */
export function attachTc(
  programFd: number,
  programId: number,
  ifindex: number,
  direction: TcDirection,
  kind: NonNullable<TcxOptions['kind']>,
  what: string,
): BpfLink {
  if (kind !== 'clsact') {
    const fd = tryCreateLink(programFd, ifindex, BPF_TCX[direction], linkOpts(BPF_F_BEFORE));
    if (fd >= 0) return new FdLink('tcx', fd);
    // Kernels before 6.6 do not know the attach type.
    const unknown = fd === -EINVAL || fd === -EOPNOTSUPP || fd === -ENOTSUPP;
    if (kind === 'tcx' || !unknown) {
      throw bpfError('BPF_ATTACH_FAILED', what, fd, { place: placeOf(ifindex, direction) });
    }
  }
  return new ClsactLink(programFd, programId, ifindex, direction, what);
}

function placeOf(ifindex: number, direction: TcDirection): string {
  return `interface ${ifindex}, ${direction}`;
}

/** clsact qdiscs that this process made, as NETNS/IFINDEX; any other is left alone. */
const madeQdiscs = new Set<string>();
/** Hooks with a filter of this process, as NETNS/IFINDEX/DIRECTION: a second one would silently replace the first. */
const takenHooks = new Set<string>();

/**
 * A clsact filter. Unlike a link it stays when the process dies; the next attach to the same hook replaces it.
 * attached -> detached (once). The qdisc goes with the last filter, if this process made it.
 */
class ClsactLink implements BpfLink {
  readonly kind = 'clsact';
  readonly #programId: number;
  readonly #ifindex: number;
  readonly #direction: TcDirection;
  readonly #netnsFd: number;
  readonly #qdiscKey: string;
  readonly #hookKey: string;
  #attached = true;

  constructor(programFd: number, programId: number, ifindex: number, direction: TcDirection, what: string) {
    this.#programId = programId;
    this.#ifindex = ifindex;
    this.#direction = direction;
    this.#qdiscKey = `${currentNetnsInode()}/${ifindex}`;
    this.#hookKey = `${this.#qdiscKey}/${direction}`;
    const place = placeOf(ifindex, direction);
    if (takenHooks.has(this.#hookKey)) {
      throw new NetloomError('BPF_ATTACH_FAILED', `${what}: this process has a clsact filter there already`, { place });
    }

    const made = libbpf().bpf_tc_hook_create(tcHook(ifindex, TC_POINT_BOTH));
    if (made < 0 && made !== -EEXIST) throw bpfError('BPF_ATTACH_FAILED', `${what}: no clsact qdisc`, made, { place });
    if (made === 0) madeQdiscs.add(this.#qdiscKey);

    const opts = tcOpts({ programFd, replace: true });
    const status = libbpf().bpf_tc_attach(tcHook(ifindex, TC_POINT[direction]), opts);
    if (status < 0) {
      removeOwnQdisc(this.#qdiscKey, ifindex);
      throw bpfError('BPF_ATTACH_FAILED', what, status, { place });
    }
    takenHooks.add(this.#hookKey);
    this.#netnsFd = openCurrentNetns();
  }

  get closed(): boolean {
    return !this.#attached;
  }

  pin(path: string): void {
    throw new NetloomError('BPF_PIN_FAILED', 'a clsact filter has no link that could be pinned', {
      place: path,
      remedy: 'Nothing to do: the filter stays when this process ends without detaching it.',
    });
  }

  pinOver(path: string): void {
    this.pin(path);
  }

  detach(): void {
    if (!this.#attached) return;
    this.#attached = false;
    takenHooks.delete(this.#hookKey);
    try {
      inNetns(this.#netnsFd, () => {
        this.#removeFilter();
        removeOwnQdisc(this.#qdiscKey, this.#ifindex);
      });
    } finally {
      closeSync(this.#netnsFd);
    }
  }

  close(): void {
    this.detach();
  }

  /** Only if it is still our program: somebody may have replaced it, or the interface may be gone with all on it. */
  #removeFilter(): void {
    if (clsactProgramId(this.#ifindex, this.#direction) !== this.#programId) return;
    removeClsactFilter(this.#ifindex, this.#direction);
  }
}

function removeOwnQdisc(key: string, ifindex: number): void {
  if (madeQdiscs.has(key) && removeEmptyClsact(ifindex)) madeQdiscs.delete(key);
}
