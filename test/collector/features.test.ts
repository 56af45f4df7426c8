import { describe, expect, it } from 'vitest';
import { featureReport, type MachineFacts } from '../../collector/features.ts';
import type { Feature, Probe } from '../../lib/bpf/index.ts';

const FEATURES: readonly Feature[] = [
  'btf', 'tp_btf', 'sk_storage_tracing', 'iter_sk_storage', 'iter_task_file', 'sock_ops', 'cgroup_skb', 'tcx', 'clsact',
  'ringbuf', 'batch_lookup', 'run_stats', 'bpffs',
]; // prettier-ignore
const FACTS: MachineFacts = {
  kernelRelease: '6.1.0',
  libbpf: { version: '1.1', tested: true },
  uplinks: [{ name: 'eth0', speedBps: 25e9, speedSource: 'device' }],
};

function probes(missing: Partial<Record<Feature, Probe['missing']>> = {}): Probe[] {
  return FEATURES.map((feature) => {
    const kind = missing[feature];
    const base = { feature, purpose: `purpose of ${feature}`, needs: 'Linux >= 5.11, CAP_BPF, CAP_PERFMON' };
    return kind === undefined
      ? { ...base, available: true }
      : { ...base, available: false, missing: kind, reason: 'the reason' };
  });
}

describe('what doctor says', () => {
  it('all is there', () => {
    const report = featureReport(probes(), FACTS);
    expect(report.canMeasure).toBe(true);
    expect(report.verdict).toBe('Netloom can measure on this machine (Linux 6.1.0).');
    expect(report.findings.every(({ status }) => status === 'ok' || status === 'unused')).toBe(true);
  });

  it.each(['btf', 'tp_btf', 'sk_storage_tracing', 'iter_sk_storage'] as const)(
    'without %s nothing can be measured',
    (feature) => {
      const report = featureReport(probes({ [feature]: 'kernel' }), FACTS);
      expect(report.canMeasure).toBe(false);
      expect(report.verdict).toContain(feature);
    },
  );

  it.each(['batch_lookup', 'run_stats'] as const)('without %s it goes on, at a cost', (feature) => {
    const report = featureReport(probes({ [feature]: 'kernel' }), FACTS);
    expect(report.canMeasure).toBe(true);
    expect(report.findings.find(({ subject }) => subject === feature)?.status).toBe('degraded');
  });

  it('every feature that is missing says what that costs and what to do, whatever kind of thing is missing', () => {
    for (const kind of ['capability', 'kernel', 'setup', 'library'] as const) {
      const report = featureReport(probes(Object.fromEntries(FEATURES.map((f) => [f, kind]))), FACTS);
      const features = report.findings.filter(({ needs }) => needs !== undefined);
      expect(features.length).toBe(FEATURES.length);
      for (const { cost, remedy, reason } of features) {
        expect(reason).toBe('the reason');
        expect(cost).toMatch(/\w/);
        expect(remedy).toMatch(/^[A-Z].*\S$/);
      }
    }
    const [finding] = featureReport(probes({ tp_btf: 'capability' }), FACTS).findings.filter(
      (f) => f.status === 'missing',
    );
    expect(finding?.remedy).toContain('CAP_BPF, CAP_PERFMON');
  });

  it('libbpf that is absent or untested, uplinks that are absent or of unknown speed', () => {
    const absent = featureReport(probes(), { ...FACTS, libbpf: { problem: 'no such file' }, uplinks: [] });
    expect(absent.canMeasure).toBe(false);
    expect(absent.findings.find(({ subject }) => subject === 'uplinks')?.remedy).toContain('--uplink');
    const odd = featureReport(probes(), {
      ...FACTS,
      libbpf: { version: '1.7', tested: false },
      uplinks: [{ name: 'eth0', speedBps: 0, speedSource: 'unknown' }],
    });
    expect(odd.canMeasure).toBe(true);
    expect(odd.verdict).toContain('look at: libbpf, uplink eth0');
  });
});
