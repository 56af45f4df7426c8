import { NetloomError } from '../errors.ts';
import { bpfError } from './errno.ts';
import { programInfo } from './info.ts';
import { IterLink } from './iter.ts';
import { addressOf, libbpf } from './libbpf.ts';
import type { Lifetime } from './lifetime.ts';
import { FdLink, createLink, linkOpts } from './link.ts';
import { attachTc } from './tc.ts';
import type { BpfIterLink, BpfLink, BpfMap, BpfProgram, RunStats, TcDirection, TcxOptions, TestRun } from './types.ts';

const BPF_TRACE_ITER = 28;
/** struct bpf_test_run_opts. */
const TEST_RUN_OPTS_SIZE = 80;
/** Room for what a program may add to a frame. */
const TEST_RUN_HEADROOM = 256;

export interface ProgramSpec {
  readonly name: string;
  readonly section: string;
  /** Negative if the program was not loaded. */
  readonly fd: number;
  readonly attachType: number;
}

/** A loaded program of an object; `onLink` hands each link to the object, which closes it. */
export class LoadedProgram implements BpfProgram {
  readonly name: string;
  readonly #spec: ProgramSpec;
  readonly #lifetime: Lifetime;
  readonly #onLink: (link: BpfLink) => void;

  constructor(spec: ProgramSpec, lifetime: Lifetime, onLink: (link: BpfLink) => void) {
    this.name = spec.name;
    this.#spec = spec;
    this.#lifetime = lifetime;
    this.#onLink = onLink;
  }

  get fd(): number {
    this.#lifetime.assertOpen();
    if (this.#spec.fd < 0) {
      throw new NetloomError('BPF_ATTACH_FAILED', `program ${this.name} was not loaded`, {
        found: 'it is named in skipPrograms, or its section says so with a leading "?"',
      });
    }
    return this.#spec.fd;
  }

  get id(): number {
    return programInfo(this.fd).id;
  }

  attachTracing(): BpfLink {
    const fd = libbpf().bpf_raw_tracepoint_open(null, this.fd);
    if (fd < 0) throw bpfError('BPF_ATTACH_FAILED', this.#cannotAttach(), fd);
    return this.#keep(new FdLink('tracing', fd));
  }

  attachIter(map?: BpfMap): BpfIterLink {
    const info = map === undefined ? undefined : Buffer.alloc(4);
    if (map !== undefined) info?.writeUInt32LE(map.fd);
    const fd = createLink(this.fd, 0, BPF_TRACE_ITER, linkOpts(0, info), this.#cannotAttach());
    return this.#keep(new IterLink(fd));
  }

  attachCgroup(cgroupDirFd: number): BpfLink {
    const fd = createLink(this.fd, cgroupDirFd, this.#spec.attachType, linkOpts(), this.#cannotAttach());
    return this.#keep(new FdLink('cgroup', fd));
  }

  attachTcx(ifindex: number, direction: TcDirection, options: TcxOptions = {}): BpfLink {
    return this.#keep(attachTc(this.fd, this.id, ifindex, direction, options.kind ?? 'auto', this.#cannotAttach()));
  }

  runStats(): RunStats {
    const { runs, runNs } = programInfo(this.fd);
    return { runs, runNs };
  }

  testRun(data: Uint8Array, repeat = 1, ctx?: Uint8Array): TestRun {
    const out = Buffer.alloc(data.length + TEST_RUN_HEADROOM);
    const ctxOut = Buffer.alloc(ctx?.length ?? 0);
    const opts = Buffer.alloc(TEST_RUN_OPTS_SIZE);
    opts.writeBigUInt64LE(BigInt(TEST_RUN_OPTS_SIZE), 0);
    if (data.length > 0) {
      opts.writeBigUInt64LE(addressOf(data), 8);
      opts.writeBigUInt64LE(addressOf(out), 16);
      opts.writeUInt32LE(data.length, 24);
      opts.writeUInt32LE(out.length, 28);
    }
    if (ctx !== undefined && ctx.length > 0) {
      opts.writeBigUInt64LE(addressOf(ctx), 32);
      opts.writeBigUInt64LE(addressOf(ctxOut), 40);
      opts.writeUInt32LE(ctx.length, 48);
      opts.writeUInt32LE(ctxOut.length, 52);
    }
    opts.writeInt32LE(repeat, 60);
    const status = libbpf().bpf_prog_test_run_opts(this.fd, opts);
    if (status < 0) throw bpfError('BPF_SYSTEM_FAILED', `program ${this.name} cannot be run on test data`, status);
    return {
      retval: opts.readUInt32LE(56),
      durationNs: opts.readUInt32LE(64),
      dataOut: out.subarray(0, opts.readUInt32LE(28)),
      ctxOut: ctxOut.subarray(0, opts.readUInt32LE(52)),
    };
  }

  #keep<L extends BpfLink>(link: L): L {
    this.#onLink(link);
    return link;
  }

  #cannotAttach(): string {
    return `program ${this.name} (${this.#spec.section}) cannot be attached`;
  }
}
