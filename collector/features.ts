import type { Feature, Probe } from '../lib/bpf/index.ts';
import type { Uplink } from '../proto/report.ts';

/** One line of `netloom doctor`. */
export interface Finding {
  /** `ok`; `degraded`: works, with a cost; `missing`: measuring is not possible; `unused`: this version does without. */
  readonly status: 'ok' | 'degraded' | 'missing' | 'unused';
  /** A kernel feature, or another thing that was looked at. */
  readonly subject: string;
  /** What it is for, or what was found. */
  readonly summary: string;
  /** What it needs; for kernel features. */
  readonly needs?: string;
  /** Why it is not there. */
  readonly reason?: string;
  /** What its absence costs. */
  readonly cost?: string;
  /** What to do. */
  readonly remedy?: string;
}

export interface FeatureReport {
  /** Whether `netloom agent` can measure here. */
  readonly canMeasure: boolean;
  /** One sentence for people. */
  readonly verdict: string;
  readonly findings: readonly Finding[];
}

/** What was found besides the kernel's features. */
export interface MachineFacts {
  /** As uname -r says; only shown, never judged. */
  readonly kernelRelease: string;
  readonly libbpf: { readonly version: string; readonly tested: boolean } | { readonly problem: string };
  readonly uplinks: readonly Pick<Uplink, 'name' | 'speedBps' | 'speedSource'>[];
}

interface Role {
  /** What the collector does without it. Absent: it cannot measure at all. */
  readonly without?: string;
  /** False: nothing in this version uses it. */
  readonly used: boolean;
}

const NEEDED: Role = { used: true };
const later = (without: string): Role => ({ without, used: false });

/** What each feature is to this version of the collector. */
const ROLES: Readonly<Record<Feature, Role>> = {
  btf: NEEDED,
  tp_btf: NEEDED,
  sk_storage_tracing: NEEDED,
  iter_sk_storage: NEEDED,
  batch_lookup: { used: true, without: 'reading the edges takes 5 to 16 times the CPU time' },
  run_stats: { used: true, without: 'the cost of the kernel programs is not shown (reads 0)' },
  iter_task_file: later('connections older than the agent are not counted; this version does not count them anyway'),
  sock_ops: later('no way to measure where tracing is not available; this version has none anyway'),
  cgroup_skb: later('UDP cannot be counted; this version does not count it anyway'),
  ringbuf: later('nothing: no event is sent one by one'),
  bpffs: { used: true, without: 'an agent that restarts forgets the connections that are open (--pins needs one)' },
  tcx: later('bandwidth limits would use clsact; this version enforces none'),
  clsact: later('bandwidth limits could not be enforced before Linux 6.6; this version enforces none'),
};

/** What the trials and facts mean for measuring on this machine. Pure. */
export function featureReport(probes: readonly Probe[], facts: MachineFacts): FeatureReport {
  const findings = [libbpfFinding(facts), ...probes.map(probeFinding), ...uplinkFindings(facts.uplinks)];
  const missing = findings.filter(({ status }) => status === 'missing');
  const degraded = findings.filter(({ status }) => status === 'degraded');
  const canMeasure = missing.length === 0;
  return { canMeasure, verdict: verdict(facts.kernelRelease, missing, degraded), findings };
}

function verdict(kernel: string, missing: readonly Finding[], degraded: readonly Finding[]): string {
  const names = (findings: readonly Finding[]): string => findings.map(({ subject }) => subject).join(', ');
  if (missing.length > 0) return `Netloom cannot measure on this machine (Linux ${kernel}): ${names(missing)} missing.`;
  if (degraded.length > 0)
    return `Netloom can measure on this machine (Linux ${kernel}), but look at: ${names(degraded)}.`;
  return `Netloom can measure on this machine (Linux ${kernel}).`;
}

function probeFinding(probe: Probe): Finding {
  const { feature, purpose, needs, reason } = probe;
  const role = ROLES[feature];
  const base = { subject: feature, summary: purpose, needs };
  if (probe.available) return { status: role.used ? 'ok' : 'unused', ...base };
  return {
    status: !role.used ? 'unused' : role.without === undefined ? 'missing' : 'degraded',
    ...base,
    ...(reason === undefined ? {} : { reason }),
    cost: role.without ?? 'TCP traffic cannot be measured: this node has no data but what agents of its peers see',
    remedy: remedyOf(probe),
  };
}

function remedyOf({ missing, needs, feature }: Probe): string {
  switch (missing) {
    case 'capability':
      return `Run as root, or give the process ${capabilitiesIn(needs)} (in Kubernetes: securityContext.capabilities.add).`;
    case 'library':
      return 'Install libbpf 1.1 or newer (Debian: apt-get install libbpf1), or name its file in NETLOOM_LIBBPF.';
    case 'setup':
      return feature === 'bpffs'
        ? 'Mount one on the host: mount -t bpf bpf /sys/fs/bpf'
        : 'Set up what the reason names (objects: scripts/build-bpf.sh; cgroup2: mount -t cgroup2 none /sys/fs/cgroup/unified).';
    case 'kernel':
    default:
      return feature === 'btf'
        ? 'Run a kernel built with CONFIG_DEBUG_INFO_BTF=y: Debian >= 11, Ubuntu >= 20.10, RHEL >= 8.2 have it.'
        : `Run a kernel that has it (${needs}); on another one, and under some seccomp profiles, bpf(2) refuses it.`;
  }
}

function capabilitiesIn(needs: string): string {
  return needs.match(/CAP_\w+/g)?.join(', ') ?? 'the capabilities that are needed';
}

function libbpfFinding({ libbpf }: MachineFacts): Finding {
  if ('problem' in libbpf) {
    return {
      status: 'missing',
      subject: 'libbpf',
      summary: 'the library that loads the kernel programs',
      reason: libbpf.problem,
      cost: 'nothing can be measured',
      remedy: 'Install libbpf 1.1 or newer (Debian: apt-get install libbpf1), or name its file in NETLOOM_LIBBPF.',
    };
  }
  const summary = `version ${libbpf.version}`;
  if (libbpf.tested) return { status: 'ok', subject: 'libbpf', summary };
  return {
    status: 'degraded',
    subject: 'libbpf',
    summary: `${summary}, with which Netloom was not tested`,
    cost: 'probably nothing',
    remedy: 'If something is odd, use 1.1 or 1.4: name its file in NETLOOM_LIBBPF.',
  };
}

function uplinkFindings(uplinks: MachineFacts['uplinks']): readonly Finding[] {
  if (uplinks.length === 0) {
    return [
      {
        status: 'degraded',
        subject: 'uplinks',
        summary: 'no device has a default route',
        cost: "the node's link load and headroom are not known to placement",
        remedy: 'Name the devices: netloom agent --uplink NAME --uplink-speed 10G',
      },
    ];
  }
  return uplinks.map(({ name, speedBps, speedSource }): Finding => {
    if (speedSource !== 'unknown') {
      return { status: 'ok', subject: `uplink ${name}`, summary: `${speedBps / 1e6} Mbit/s, ${SAID_BY[speedSource]}` };
    }
    return {
      status: 'degraded',
      subject: `uplink ${name}`,
      summary: 'speed not known: the device does not tell it, or is virtual and makes it up',
      cost: "placement cannot see how much of the node's link is free",
      remedy: 'Say it: netloom agent --uplink-speed 10G',
    };
  });
}

const SAID_BY = { device: 'as the device says', configured: 'as configured' } as const;
