import { closeSync } from 'node:fs';
import { NetloomError } from '../errors.ts';
import { EEXIST, EINVAL, ENOTSUPP, EOPNOTSUPP, bpfError } from './errno.ts';
import { libbpf } from './libbpf.ts';
import { FdLink, linkOpts, tryCreateLink } from './link.ts';
import { currentNetnsInode, inNetns, openCurrentNetns } from './netns.ts';
import { hasClsactFilters } from './tc-filters.ts';
import type { BpfLink, TcDirection, TcxOptions } from './types.ts';

/** enum bpf_attach_type of linux/bpf.h (6.6; the headers of Debian 12 do not have them yet). */
const BPF_TCX = { ingress: 46, egress: 47 } as const;
/** Without a relative program: before all others (kernel/bpf/mprog.c). */
const BPF_F_BEFORE = 8;

/** enum bpf_tc_attach_point of libbpf.h; both together name the qdisc itself. */
const TC_POINT = { ingress: 1, egress: 2 } as const;
const TC_POINT_BOTH = 3;
const TC_F_REPLACE = 1;
const TC_HOOK_SIZE = 24;
const TC_OPTS_SIZE = 32;

/** Lower runs earlier, and a newer filter of the same priority runs before the older ones (net/sched/cls_bpf.c). */
const PRIORITY = 1;
/** "NL": by it we find our own filter again, also after a crash, and never touch another's. */
const HANDLE = 0x4e4c;

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

    const opts = tcOpts({ programFd, flags: TC_F_REPLACE });
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
    const hook = tcHook(this.#ifindex, TC_POINT[this.#direction]);
    const query = tcOpts({});
    if (libbpf().bpf_tc_query(hook, query) < 0) return;
    if (query.readUInt32LE(16) !== this.#programId) return;
    libbpf().bpf_tc_detach(hook, tcOpts({}));
  }
}

/** A filter that somebody adds between the look and the deletion would be lost: a window of microseconds. */
function removeOwnQdisc(key: string, ifindex: number): void {
  if (!madeQdiscs.has(key) || hasClsactFilters(ifindex)) return;
  madeQdiscs.delete(key);
  libbpf().bpf_tc_hook_destroy(tcHook(ifindex, TC_POINT_BOTH));
}

/** struct bpf_tc_hook of libbpf.h. */
function tcHook(ifindex: number, attachPoint: number): Buffer {
  const hook = Buffer.alloc(TC_HOOK_SIZE);
  hook.writeBigUInt64LE(BigInt(TC_HOOK_SIZE), 0);
  hook.writeInt32LE(ifindex, 8);
  hook.writeUInt32LE(attachPoint, 12);
  return hook;
}

/** struct bpf_tc_opts of libbpf.h; prog_id at 16 is filled in by libbpf. */
function tcOpts({ programFd = 0, flags = 0 }: { programFd?: number; flags?: number }): Buffer {
  const opts = Buffer.alloc(TC_OPTS_SIZE);
  opts.writeBigUInt64LE(BigInt(TC_OPTS_SIZE), 0);
  opts.writeInt32LE(programFd, 8);
  opts.writeUInt32LE(flags, 12);
  opts.writeUInt32LE(HANDLE, 20);
  opts.writeUInt32LE(PRIORITY, 24);
  return opts;
}
