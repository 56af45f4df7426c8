import { accessSync, closeSync, constants } from 'node:fs';
import { NetloomError, messageOf } from '../errors.ts';
import { isBpffs } from './bpffs.ts';
import { missingCapabilities, type Capability } from './capabilities.ts';
import { cgroup2Mount, withEmptyCgroup } from './cgroup.ts';
import { ENOENT, bpfError } from './errno.ts';
import { libbpf } from './libbpf.ts';
import { MapType } from './map.ts';
import { loadBpf } from './object.ts';
import { bpfObjectPath } from './objects-dir.ts';
import { enableRunStats } from './run-stats.ts';
import type { BpfObject, BpfProgram } from './types.ts';

/** Something of the kernel that Netloom uses. */
export interface Probe {
  readonly feature: Feature;
  readonly available: boolean;
  /** What it is for. */
  readonly purpose: string;
  /** What it needs: `Linux >= 5.11, CAP_BPF`. */
  readonly needs: string;
  /** Why it is not available, in one line. */
  readonly reason?: string;
  /** What kind of thing is missing: rights of this process, the kernel's ability, a mount or file, or libbpf. */
  readonly missing?: 'capability' | 'kernel' | 'setup' | 'library';
}

export type Feature =
  | 'btf'
  | 'tp_btf'
  | 'sk_storage_tracing'
  | 'iter_sk_storage'
  | 'iter_task_file'
  | 'sock_ops'
  | 'cgroup_skb'
  | 'tcx'
  | 'clsact'
  | 'ringbuf'
  | 'batch_lookup'
  | 'run_stats'
  | 'bpffs';

interface Trial {
  readonly feature: Feature;
  readonly purpose: string;
  readonly kernel: string;
  readonly capabilities: readonly Capability[];
  /** Throws if the feature is not there. */
  readonly attempt: () => void | Promise<void>;
}

const TRACING: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON'];
const NETWORK: readonly Capability[] = ['CAP_BPF', 'CAP_NET_ADMIN'];

/** In the order in which the features depend on each other. */
const TRIALS: readonly Trial[] = [
  {
    feature: 'btf',
    purpose: 'struct layouts of the running kernel, for every tracing program',
    kernel: 'CONFIG_DEBUG_INFO_BTF=y',
    capabilities: [],
    attempt: () => accessSync('/sys/kernel/btf/vmlinux', constants.R_OK),
  },
  {
    feature: 'tp_btf',
    purpose: 'hearing of each TCP connection that opens and closes',
    kernel: 'Linux >= 5.5 with BTF',
    capabilities: TRACING,
    attempt: () => withProbe('tracing', (program) => program.attachTracing().detach()),
  },
  {
    feature: 'sk_storage_tracing',
    purpose: 'counters kept on each socket by a tracing program',
    kernel: 'Linux >= 5.11 with BTF',
    capabilities: TRACING,
    attempt: () => withProbe('sk-storage', (program) => program.attachTracing().detach()),
  },
  {
    feature: 'iter_sk_storage',
    purpose: 'reading the counters of live sockets of all namespaces at once',
    kernel: 'Linux >= 5.9 with BTF',
    capabilities: TRACING,
    attempt: () =>
      withProbe('iter-sk-storage', (program, object) => program.attachIter(object.map('storage')).detach()),
  },
  {
    feature: 'iter_task_file',
    purpose: 'finding sockets that are older than the agent',
    kernel: 'Linux >= 5.8 with BTF',
    capabilities: TRACING,
    attempt: () => withProbe('iter-task-file', (program) => program.attachIter().detach()),
  },
  {
    feature: 'sock_ops',
    purpose: 'following sockets where tracing is not available',
    kernel: 'Linux >= 5.7, cgroup2 mounted',
    capabilities: NETWORK,
    attempt: () => withProbe('sock-ops', attachToEmptyCgroup),
  },
  {
    feature: 'cgroup_skb',
    purpose: 'counting UDP',
    kernel: 'Linux >= 5.7, cgroup2 mounted',
    capabilities: NETWORK,
    attempt: () => withProbe('cgroup-skb', attachToEmptyCgroup),
  },
  {
    feature: 'tcx',
    purpose: 'pacing at interfaces beside other programs, detached when the agent dies',
    kernel: 'Linux >= 6.6',
    capabilities: NETWORK,
    attempt: () => withProbe('tc', (program) => program.attachTcx(LOOPBACK, 'egress', { kind: 'tcx' }).detach()),
  },
  {
    feature: 'clsact',
    purpose: 'pacing at interfaces where tcx is not available',
    kernel: 'Linux >= 4.5 with CONFIG_NET_CLS_BPF',
    capabilities: NETWORK,
    attempt: () => withProbe('tc', (program) => program.attachTcx(LOOPBACK, 'egress', { kind: 'clsact' }).detach()),
  },
  {
    feature: 'ringbuf',
    purpose: 'single events, in order',
    kernel: 'Linux >= 5.8',
    capabilities: ['CAP_BPF'],
    attempt: () => closeSync(createMap(MapType.RINGBUF, 0, 0, 65536)),
  },
  {
    feature: 'batch_lookup',
    purpose: 'reading a map in large pieces: 5 to 16 times cheaper than key by key',
    kernel: 'Linux >= 5.6',
    capabilities: ['CAP_BPF'],
    attempt: tryBatchLookup,
  },
  {
    feature: 'run_stats',
    purpose: 'showing what the BPF programs themselves cost',
    kernel: 'Linux >= 5.8',
    capabilities: ['CAP_SYS_ADMIN'],
    attempt: () => enableRunStats().close(),
  },
  {
    feature: 'bpffs',
    purpose: 'counters that outlive a restart of the agent',
    kernel: 'a bpffs on /sys/fs/bpf',
    capabilities: [],
    attempt: requireBpffs,
  },
];

/** The interface that every network namespace has; the probe lets all packets pass and is gone at once. */
const LOOPBACK = 1;

let cached: Promise<readonly Probe[]> | undefined;

/**
 * Tries every feature by loading and attaching tiny programs, once a process. Versions are never parsed: distributions
 * backport. Never rejects; where libbpf itself is missing, each feature says so.
 */
export function probeFeatures(): Promise<readonly Probe[]> {
  cached ??= probeAll();
  return cached;
}

async function probeAll(): Promise<readonly Probe[]> {
  const probes: Probe[] = [];
  for (const trial of TRIALS) probes.push(await probe(trial));
  return probes;
}

async function probe(trial: Trial): Promise<Probe> {
  const { feature, purpose, kernel, capabilities, attempt } = trial;
  const needs = [kernel, ...capabilities].join(', ');
  try {
    await attempt();
    return { feature, available: true, purpose, needs };
  } catch (error) {
    const lacking = missingCapabilities(capabilities);
    const missing = kindOf(error, lacking.length > 0);
    const reason = missing === 'capability' ? `this process lacks ${lacking.join(', ')}` : messageOf(error);
    return { feature, available: false, purpose, needs, reason, missing };
  }
}

/** EPERM means missing rights only if rights are missing: some kernels say EPERM for what they cannot do at all. */
function kindOf(error: unknown, rightsLacking: boolean): NonNullable<Probe['missing']> {
  if (error instanceof SetupError) return 'setup';
  if (!(error instanceof NetloomError)) return 'kernel';
  switch (error.code) {
    case 'BPF_LIBRARY_MISSING':
      return 'library';
    case 'BPF_OBJECT_MISSING':
    case 'BPF_OBJECT_INVALID':
      return 'setup';
    default:
      return rightsLacking ? 'capability' : 'kernel';
  }
}

/** Something on this machine would have to be set up first. */
class SetupError extends Error {}

async function withProbe(name: string, attach: (program: BpfProgram, object: BpfObject) => void): Promise<void> {
  const object = await loadBpf({ object: bpfObjectPath(`probe-${name}`) });
  try {
    attach(object.program('probe'), object);
  } finally {
    object.close();
  }
}

function attachToEmptyCgroup(program: BpfProgram): void {
  const mount = cgroup2Mount();
  if (mount === undefined) throw new SetupError('no cgroup2 hierarchy is mounted');
  try {
    withEmptyCgroup(mount, `netloom-probe-${process.pid}`, (fd) => program.attachCgroup(fd).detach());
  } catch (error) {
    if (error instanceof NetloomError) throw error;
    throw new SetupError(`no cgroup can be made for the trial: ${messageOf(error)}`);
  }
}

function createMap(type: number, keySize: number, valueSize: number, entries: number): number {
  const fd = libbpf().bpf_map_create(type, 'netloom_probe', keySize, valueSize, entries, null);
  if (fd < 0) throw bpfError('BPF_MAP_FAILED', 'a map cannot be created', fd);
  return fd;
}

function tryBatchLookup(): void {
  const fd = createMap(MapType.HASH, 4, 4, 4);
  try {
    const count = new Uint8Array(new Uint32Array([4]).buffer);
    const [token, keys, values] = [new Uint8Array(64), new Uint8Array(16), new Uint8Array(16)];
    const status = libbpf().bpf_map_lookup_batch(fd, null, token, keys, values, count, null);
    if (status < 0 && status !== -ENOENT) throw bpfError('BPF_MAP_FAILED', 'maps cannot be read in batches', status);
  } finally {
    closeSync(fd);
  }
}

function requireBpffs(): void {
  if (isBpffs('/sys/fs/bpf')) return;
  throw new SetupError('no bpffs is mounted on /sys/fs/bpf');
}
