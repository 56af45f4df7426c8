import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { cgroup2Mount } from '../../lib/bpf/cgroup.ts';
import { probeFeatures } from '../../lib/bpf/index.ts';
import { buildBpf } from '../support/bpf.ts';

beforeAll(buildBpf);

describe('feature probes', () => {
  it('find what this kernel has by trying it, and say what each is for and needs', async () => {
    const probes = await probeFeatures();
    for (const probe of probes) {
      expect(probe.purpose).not.toBe('');
      expect(probe.needs).not.toBe('');
      expect(probe.available ? probe.reason : typeof probe.reason).toBe(probe.available ? undefined : 'string');
    }
    const available = new Set(probes.filter((probe) => probe.available).map(({ feature }) => feature));
    expect(available).toContain('btf');
    expect(available).toContain('tp_btf');
    expect(available).toContain('iter_sk_storage');
    expect(available).toContain('batch_lookup');
  });

  it('are made once a process', () => {
    expect(probeFeatures()).toBe(probeFeatures());
  });

  it('leave nothing attached and no cgroup', async () => {
    await probeFeatures();
    expect(execFileSync('tc', ['filter', 'show', 'dev', 'lo', 'egress'], { encoding: 'utf8' })).not.toContain('0x4e4c');
    const mount = cgroup2Mount();
    if (mount !== undefined) expect(readdirSync(mount)).not.toContain(`netloom-probe-${process.pid}`);
  });
});
