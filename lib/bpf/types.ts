import type { Btf } from './btf.ts';

/** What to load and how; nothing here touches the kernel until `loadBpf`. */
export interface LoadOptions {
  /** Path or bytes of the .o. */
  readonly object: string | Uint8Array;
  /** Values of `const volatile` globals (.rodata) by name; unknown names and values that do not fit are refused. */
  readonly constants?: Readonly<Record<string, number | bigint>>;
  /** Overrides of max_entries by map name. */
  readonly maxEntries?: Readonly<Record<string, number>>;
  /** Programs that are not loaded, by name. */
  readonly skipPrograms?: readonly string[];
  /**
   * Maps that outlive the process: each is pinned as `dir/NAME`, or taken from there if it exists and has the same
   * type, sizes, flags and max_entries (else the load fails). `dir` must lie on a bpffs: see `ensureBpffs`.
   */
  readonly pins?: { readonly dir: string; readonly maps: readonly string[] };
}

/** A loaded object. Its maps, programs and links are unusable after `close`. */
export interface BpfObject {
  /** The object's own BTF: the layouts of its structs. */
  readonly btf: Btf;
  /** @throws NetloomError BPF_NAME_UNKNOWN */
  map(name: string): BpfMap;
  /** @throws NetloomError BPF_NAME_UNKNOWN */
  program(name: string): BpfProgram;
  /** Idempotent; closes the links made through it. Pinned maps and pinned links stay in the kernel. */
  close(): void;
}

export interface RunStats {
  readonly runs: number;
  /** Nanoseconds. */
  readonly runNs: number;
}

export interface TestRun {
  readonly retval: number;
  /** Mean of one run, whole nanoseconds. */
  readonly durationNs: number;
  readonly dataOut: Uint8Array;
  /** The context after the run; empty if none was given. */
  readonly ctxOut: Uint8Array;
}

export interface BpfProgram {
  readonly name: string;
  readonly fd: number;
  readonly id: number;
  /** tp_btf and raw tracepoints: the section names the target. */
  attachTracing(): BpfLink;
  /** iter/bpf_sk_storage_map and iter/bpf_map_elem walk `map`; iter/task_file, iter/tcp take none. */
  attachIter(map?: BpfMap): BpfIterLink;
  /** cgroup_skb, sock_ops and the like; several programs may share a cgroup. */
  attachCgroup(cgroupDirFd: number): BpfLink;
  /**
   * First in the tcx chain of an interface of this thread's network namespace; where the kernel has no tcx (< 6.6),
   * a clsact filter at priority 1. `kind` says which. The program must return TCX_NEXT / TC_ACT_UNSPEC (-1)
   * so that those behind it still run.
   */
  attachTcx(ifindex: number, direction: TcDirection, options?: TcxOptions): BpfLink;
  /** Counts only while `enableRunStats` is held by anybody on this machine. */
  runStats(): RunStats;
  /** Runs the program `repeat` times on `data` (a frame for tc programs). Blocks: for tests and benchmarks. */
  testRun(data: Uint8Array, repeat?: number, ctx?: Uint8Array): TestRun;
}

export type TcDirection = 'ingress' | 'egress';

export interface TcxOptions {
  /** `tcx` and `clsact` force one kind; `auto` (default) tries tcx first. */
  readonly kind?: 'auto' | 'tcx' | 'clsact';
}

export type LinkKind = 'tracing' | 'iter' | 'cgroup' | 'tcx' | 'clsact';

export interface BpfLink {
  readonly kind: LinkKind;
  /** Detached or given up. */
  readonly closed: boolean;
  /** Keeps the link after this process ends. `path` must lie on a bpffs. A clsact filter has no link: refused. */
  pin(path: string): void;
  /** As `pin`, in the place of a link that is pinned there: at every moment one of the two is. */
  pinOver(path: string): void;
  /** The program stops running: the pin made through this handle is removed too. Idempotent. */
  detach(): void;
  /** Gives up the handle: like `detach`, unless the link was pinned; then it goes on. Idempotent. */
  close(): void;
}

export interface BpfIterLink extends BpfLink {
  /**
   * One pass: reads an iterator in small chunks on the thread pool, so the event loop is never held.
   * Passes of one link run one after another. Resolves with the bytes that the program emitted.
   */
  run(): Promise<number>;
}

/** Called with each batch; both views are reused for the next one, so nothing may keep them. */
export type BatchVisitor = (keys: DataView, values: DataView, count: number) => void;

export interface BpfMap {
  readonly name: string;
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  readonly fd: number;
  /** Kernel-wide identity of this map; another one after it was made anew. */
  readonly id: number;
  readonly keySize: number;
  readonly valueSize: number;
  /** Bytes of one value as read: `valueSize`, or for per-CPU maps one 8-byte-aligned copy for each possible CPU. */
  readonly valueStride: number;
  readonly maxEntries: number;
  /**
   * The whole map in batches of 1024 off the event loop; by next_key where the type has no batch lookup.
   * One pass at a time in a map: further calls wait. Entries that others insert or delete meanwhile may be missed or,
   * rarely, seen twice. Resolves with the number of entries visited.
   */
  readAll(visit: BatchVisitor): Promise<number>;
  lookup(key: Uint8Array): Uint8Array | undefined;
  /** flags: 0 any, 1 only new, 2 only existing. */
  update(key: Uint8Array, value: Uint8Array, flags?: number): void;
  /** Whether the key was there. */
  delete(key: Uint8Array): boolean;
  pin(path: string): void;
  /** Only needed for `openPinnedMap`; the maps of an object close with it. Idempotent. */
  close(): void;
}
