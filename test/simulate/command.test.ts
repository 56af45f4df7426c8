import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../cli/run.ts';
import type { SimulationReport } from '../../scheduler/simulate/report.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-simulate-`));
  expect(await cli('--generate', 'nodes=6,seed=1', '--export', join(folder, 'made'))).toMatchObject({ code: 0 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function cli(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const base = { isTty: false, columns: 80, drained: () => Promise.resolve() };
  const code = await runCli({
    argv: ['simulate', ...argv],
    environment: {},
    cwd: folder,
    stdout: { ...base, write: (text) => (out += text) },
    stderr: { ...base, write: (text) => (err += text) },
    signal: new AbortController().signal,
    handleSignals: () => {},
  });
  return { code, out, err };
}

/** A plan that is worse than it could be. */
const quick = ['--plan-iterations', '1000'];
const made = (): string[] => [
  '--snapshot',
  join(folder, 'made/snapshot.json'),
  '--traffic',
  join(folder, 'made/traffic.csv'),
];

async function json(...argv: string[]): Promise<SimulationReport> {
  const { code, out, err } = await cli(...made(), '-o', 'json', ...argv);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as SimulationReport;
}

describe('netloom simulate', () => {
  it('answers in plain words what Netloom would save, in 80 columns', async () => {
    const { code, out, err } = await cli(
      ...made(),
      ...quick,
      '--price',
      '0.02',
      '--link-mbps',
      '10000',
      '--seeds',
      '2',
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(out).toMatch(/NOW +DEFAULT +NETLOOM +WITH A PLAN\n/);
    expect(out).toMatch(/With Netloom [\d.]+ % of the traffic between workloads could stay on its/);
    expect(out).toMatch(/Between zones it would be [\d.]+ \wiB a day (less: [\d,.]+ a month at 0\.02 per GB|more)\./);
    expect(out).toMatch(/use of links, busiest/);
  });

  it('gives every figure of every run as JSON, the same bytes each time', async () => {
    const report = await json('--policy', 'netloom', '--seeds', '3');
    expect(report).toMatchObject({ netloom: 'simulation', version: 1, policy: 'netloom' });
    expect(report.seeds).toHaveLength(3);
    expect(report.seeds!.map(({ seed }) => seed)).toEqual([0, 1, 2]);
    for (const { localShare, unplaced } of report.seeds!) {
      expect(localShare.node).toBeGreaterThanOrEqual(0);
      expect(localShare.zone).toBeGreaterThanOrEqual(localShare.node);
      expect(localShare.region).toBeGreaterThanOrEqual(localShare.zone);
      expect(unplaced).toBe(0);
    }
    const mean = report.seeds!.reduce((sum, { localShare }) => sum + localShare.node, 0) / 3;
    expect(report.mean!.localShare.node).toBeCloseTo(mean, 12);
    expect(await json('--policy', 'netloom', '--seeds', '3')).toEqual(report);
    const later = await json('--policy', 'netloom', '--seed', '2', '--seeds', '1');
    expect(later.seeds![0]).toEqual(report.seeds![2]);
  });

  it('compares policies without --policy', async () => {
    const report = await json('--seeds', '1', ...quick);
    expect(report.policies!.map(({ policy }) => policy)).toEqual(['default', 'netloom', 'netloom-plan']);
    expect(report.seeds).toBeUndefined();
    const only = await json('--policy', 'default', '--seeds', '1');
    expect(report.policies![0]!.seeds).toEqual(only.seeds);
  });

  it('takes an order of arrival from a file, and writes where every pod went', async () => {
    const snapshot = JSON.parse(readFileSync(join(folder, 'made/snapshot.json'), 'utf8')) as {
      pods: { namespace: string; name: string; owner: { kind: string } }[];
    };
    const names = snapshot.pods
      .filter((pod) => pod.owner.kind !== 'DaemonSet')
      .map((pod) => `${pod.namespace}/${pod.name}`)
      .reverse();
    const daemons = snapshot.pods
      .filter((pod) => pod.owner.kind === 'DaemonSet')
      .map((pod) => `kube-system/${pod.name}`);
    const write = (file: string, list: readonly unknown[]): string => {
      writeFileSync(join(folder, file), JSON.stringify(list));
      return join(folder, file);
    };
    const out = join(folder, 'out.json');
    const all = await json(
      '--policy',
      'netloom',
      '--arrivals',
      write('all.json', [...daemons, ...names]),
      '--placement',
      out,
    );
    expect(all.options).toMatchObject({ order: 'file', seeds: 1 });
    const placement = JSON.parse(readFileSync(out, 'utf8')) as Record<string, string | null>;
    expect(Object.keys(placement)).toEqual([...names].sort());
    expect(Object.values(placement).every((node) => node?.startsWith('node-'))).toBe(true);

    const some = write('some.json', names.slice(0, 5));
    const { err } = await cli(...made(), '--policy', 'netloom', '--arrivals', some, '--placement', out);
    expect(err).toContain(`${names.length - 5} pods are not in ${some}`);
    const placed = Object.values(JSON.parse(readFileSync(out, 'utf8')) as Record<string, string | null>);
    expect(placed.filter((node) => node !== null)).toHaveLength(5);

    for (const [list, found] of [
      [[...names.slice(0, 2), names[0]], 'names a pod twice'],
      [['shop/nobody'], 'names a pod that the cluster does not have'],
      [[7], 'names a pod that the cluster does not have'],
    ] as const) {
      const refused = await cli(...made(), '--arrivals', write('bad.json', list));
      expect(refused).toMatchObject({ code: 1, err: expect.stringContaining(found) });
      expect(refused.err).toMatch(/^ARRIVALS_INVALID: .*\n {2}where: .*bad\.json, entry \d\n {2}expected: /);
    }
    writeFileSync(join(folder, 'text.json'), '{"a": 1}');
    for (const file of ['text.json', 'absent.json', 'made/traffic.csv']) {
      expect(await cli(...made(), '--arrivals', join(folder, file))).toMatchObject({
        code: 1,
        err: expect.stringMatching(/^ARRIVALS_INVALID/),
      });
    }
  });

  it.each([
    [[], 'CONFIG_MISSING'],
    [['--generate', 'nodes=6', '--snapshot', 'made/snapshot.json'], 'CONFIG_CONFLICT'],
    [['--snapshot', 'made/snapshot.json', '--export', 'x'], 'CONFIG_MISSING'],
    [['--generate', 'nodes=6001'], 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--placement', 'x.json'], 'CONFIG_CONFLICT'],
    [
      ['--snapshot', 'made/snapshot.json', '--policy', 'netloom', '--seeds', '2', '--placement', 'x.json'],
      'CONFIG_CONFLICT',
    ],
    [['--snapshot', 'made/snapshot.json', '--policy', 'netloom', '--placement', 'no/such/x.json'], 'EXPORT_FAILED'],
    [['--snapshot', 'absent.json'], 'SNAPSHOT_UNREADABLE'],
    [['--snapshot', 'nodes.json'], 'SIMULATION_IMPOSSIBLE'],
    [['--snapshot', 'bare.json'], 'SIMULATION_IMPOSSIBLE'],
  ])('with %j says %s', async (argv, code) => {
    writeFileSync(join(folder, 'nodes.json'), '{"netloom":"snapshot","version":1,"nodes":[{"name":"a"}],"pods":[]}');
    writeFileSync(
      join(folder, 'bare.json'),
      '{"netloom":"snapshot","version":1,"nodes":[{"name":"a"}],"pods":[{"namespace":"n","name":"p"}]}',
    );
    const result = await cli(...argv);
    expect(result.err).toMatch(new RegExp(`^${code}: `));
    expect(result.err).toContain('  do: ');
    expect(result.code).not.toBe(0);
    expect(result.out).toBe('');
  });

  it('tells which rows of traffic name what is not there', async () => {
    const header = readFileSync(join(folder, 'made/traffic.csv'), 'utf8').split('\n')[0]!;
    writeFileSync(join(folder, 'odd.csv'), `${header}\nshop,Deployment,a,shop,Deployment,b,1,1\n`);
    const { code, out, err } = await cli(
      '--snapshot',
      'made/snapshot.json',
      '--traffic',
      'odd.csv',
      '--seeds',
      '1',
      ...quick,
    );
    expect(code).toBe(0);
    expect(err).toBe('1 rows of traffic are left out: line 2: shop/Deployment/a is not in the cluster\n');
    expect(out).toContain('No traffic between workloads is known');
  });
});
