import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { displayWidth } from '../../lib/output/index.ts';
import type { SimulationReport } from '../../scheduler/simulate/report.ts';
import { simulateCli, type CliRun } from './simulate-cli.ts';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), `nlt${process.pid}-simulate-`));
  expect(await cli('--generate', 'nodes=6,seed=1', '--export', join(folder, 'made'))).toMatchObject({ code: 0 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const cli = (...argv: string[]): Promise<CliRun> => simulateCli(folder, argv);

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
    expect(out).toMatch(/Between zones it would be [\d.]+ \wiB a day less \([\d,.]+ a month at 0\.02 per GB\)\./);
    // Plans are on by default: the answer is what the product does as it comes.
    expect(out).toMatch(/\([\d.]+\s+%\s+before\s+it\s+has\s+a\s+plan\)/);
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
    const every = write('all.json', [...daemons, ...names]);
    const all = await cli(...made(), '-o', 'json', '--policy', 'netloom', '--arrivals', every, '--placement', out);
    expect(all).toMatchObject({ code: 0, err: expect.stringContaining(`${daemons.length} names in ${every}`) });
    expect(all.err).toContain('no scheduler places');
    expect((JSON.parse(all.out) as SimulationReport).options).toMatchObject({ order: 'file', seeds: 1 });
    const placement = JSON.parse(readFileSync(out, 'utf8')) as Record<string, string | null>;
    expect(Object.keys(placement)).toEqual([...names].sort());
    expect(Object.values(placement).every((node) => node?.startsWith('node-'))).toBe(true);

    const some = write('some.json', names.slice(0, 5));
    const { err } = await cli(...made(), '--policy', 'netloom', '--arrivals', some, '--placement', out);
    expect(err).toBe(`${names.length - 5} pods are not in ${some}, and will not arrive.\n`);
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
    for (const [file, code] of [
      ['text.json', 1],
      ['absent.json', 2],
      ['made', 2],
      ['made/traffic.csv', 1],
    ] as const) {
      expect(await cli(...made(), '--arrivals', join(folder, file))).toMatchObject({
        code,
        err: expect.stringMatching(/^ARRIVALS_INVALID/),
      });
    }
  });

  it.each([
    [[], 2, 'CONFIG_MISSING'],
    [['--generate', 'nodes=6', '--snapshot', 'made/snapshot.json'], 2, 'CONFIG_CONFLICT'],
    [['--snapshot', 'made/snapshot.json', '--export', 'x'], 2, 'CONFIG_MISSING'],
    [['--generate', 'nodes=6001'], 2, 'CONFIG_INVALID'],
    [['--generate', 'nodes=six'], 2, 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--policy', 'kubernetes'], 2, 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--seeds', '0'], 2, 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--price', '-1'], 2, 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--price', '1e999'], 2, 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--link-mbps', '1e9'], 2, 'CONFIG_INVALID'],
    [['--snapshot', 'made/snapshot.json', '--policies', 'netloom'], 2, 'USAGE'],
    [['made/snapshot.json'], 2, 'USAGE'],
    [['--snapshot', 'made/snapshot.json', '--placement', 'x.json'], 2, 'CONFIG_CONFLICT'],
    [
      ['--snapshot', 'made/snapshot.json', '--policy', 'netloom', '--seeds', '2', '--placement', 'x.json'],
      2,
      'CONFIG_CONFLICT',
    ],
    [['--snapshot', 'made/snapshot.json', '--policy', 'netloom', '--placement', 'no/such/x.json'], 2, 'EXPORT_FAILED'],
    [['--snapshot', 'made/snapshot.json', '--policy', 'netloom', '--placement', 'made'], 2, 'EXPORT_FAILED'],
    [['--generate', 'nodes=6', '--export', 'nodes.json'], 1, 'EXPORT_FAILED'],
    [['--snapshot', 'absent.json'], 2, 'SNAPSHOT_UNREADABLE'],
    [['--snapshot', 'made'], 2, 'SNAPSHOT_UNREADABLE'],
    [['--snapshot', 'made/snapshot.json', '--traffic', 'absent.csv'], 2, 'TRAFFIC_UNREADABLE'],
    [['--snapshot', 'made/snapshot.json', '--traffic', 'nodes.json'], 1, 'TRAFFIC_HEADER'],
    [['--snapshot', 'made/traffic.csv'], 1, 'SNAPSHOT_WRONG_FORM'],
    [['--snapshot', 'nodes.json'], 1, 'SIMULATION_IMPOSSIBLE'],
    [['--snapshot', 'bare.json'], 1, 'SIMULATION_IMPOSSIBLE'],
  ])('with %j ends with %i and says %s', async (argv, status, code) => {
    writeFileSync(join(folder, 'nodes.json'), '{"netloom":"snapshot","version":1,"nodes":[{"name":"a"}],"pods":[]}');
    writeFileSync(
      join(folder, 'bare.json'),
      '{"netloom":"snapshot","version":1,"nodes":[{"name":"a"}],"pods":[{"namespace":"n","name":"p"}]}',
    );
    const result = await cli(...argv);
    expect(result.err).toMatch(new RegExp(`^${code}: `));
    expect(result.err).toContain('  do: ');
    expect(result).toMatchObject({ code: status, out: '' });
  });

  it('tells which rows of traffic mean less than they say', async () => {
    const [header] = readFileSync(join(folder, 'made/traffic.csv'), 'utf8').split('\n');
    const row = 'shop,Deployment,a,shop,Deployment,b,1,1\n';
    for (const [rows, told] of [
      [row, '1 row of traffic is left out:\n  line 2: shop/Deployment/a is not in the cluster\n'],
      [row.repeat(6), /^6 rows of traffic are left out:\n( {2}line .*\n){5} {2}and 1 more\n$/],
    ] as const) {
      writeFileSync(join(folder, 'odd.csv'), `${header}\n${rows}`);
      const { code, out, err } = await cli(
        ...['--snapshot', 'made/snapshot.json', '--traffic', 'odd.csv', '--seeds', '1', ...quick],
      );
      expect(code).toBe(0);
      if (typeof told === 'string') expect(err).toBe(told);
      else expect(err).toMatch(told);
      expect(out).toContain('No traffic between workloads is known');
      expect(out).toContain('--traffic');
      expect(out).toMatch(/could stay on the node +no traffic +no traffic +no traffic +no traffic\n/);
      expect(out).not.toContain('100');
    }
  });

  describe("on kubectl's output", () => {
    const object = (kind: string, name: string, more: object): object => {
      const { metadata, ...rest } = more as { metadata?: object };
      return { kind, metadata: { name, ...(kind === 'Node' ? {} : { namespace: 'shop' }), ...metadata }, ...rest };
    };
    const pod = (name: string, requests: object, more: object = {}): object => {
      const { annotations, ...metadata } = more as { annotations?: object };
      return object('Pod', name, {
        metadata: { labels: { app: name }, ...metadata, ...(annotations === undefined ? {} : { annotations }) },
        spec: { containers: [{ resources: { requests } }], nodeName: 'n1' },
        status: { phase: 'Running' },
      });
    };
    const node = (name: string, allocatable: object, annotations: object = {}): object =>
      object('Node', name, { metadata: { annotations }, status: { allocatable } });
    const good = { cpu: '4', memory: '8Gi', pods: '110' };
    const write = (items: readonly object[], rows: string): string[] => {
      const [header] = readFileSync(join(folder, 'made/traffic.csv'), 'utf8').split('\n');
      writeFileSync(join(folder, 'kubectl.json'), JSON.stringify({ kind: 'List', items }));
      writeFileSync(join(folder, 'kubectl.csv'), `${header}\n${rows}`);
      return ['--snapshot', 'kubectl.json', '--traffic', 'kubectl.csv', '--seeds', '1', ...quick];
    };

    it('says one of what there is one of', async () => {
      const { out } = await cli(
        ...write([node('n1', good), pod('web', {}), pod('api', {})], 'shop,Pod,web,shop,Pod,api,1,1\n'),
      );
      expect(out).toContain('1 node, 2 workloads, 2 pods to place; 1 pair of workloads talks.');
      expect(out).not.toMatch(/\b1 \w+s\b/);
    });

    it('counts and names what cannot be used of it, and goes on', async () => {
      const argv = write(
        [
          node('n1', good, { 'netloom.io/link-mbps': 'x' }),
          node('n2', { ...good, cpu: 'abc' }),
          node('n3', { ...good, memory: '-5' }),
          pod('web', { cpu: 'abc', memory: '64Mi' }),
          pod('api', { cpu: '100m', memory: '-5' }),
          pod('hog', { cpu: '1e999' }),
          pod('sender', {}, { annotations: { 'netloom.io/egress-mbps': '1e999' } }),
          pod('asker', { 'netloom.io/egress-mbps': 'much' }),
          object('Deployment', 'shy', { spec: { replicas: -1 } }),
          { kind: 'Pod', metadata: { namespace: 'shop' } },
        ],
        'shop,Pod,web,shop,Pod,api,1,1\n',
      );
      const { code, out, err } = await cli(...argv, '-o', 'json');
      expect(code).toBe(0);
      const { problems } = JSON.parse(out) as SimulationReport;
      expect(problems).toEqual([
        { problem: 'object-unusable', count: 1, samples: ['Pod without metadata.name: Pod with {kind, metadata}'] },
        {
          problem: 'object-field',
          count: 9,
          samples: [
            'Node n1: netloom.io/link-mbps is "x", expected a number of Mbit/s above 0, up to 100000000',
            'Node n2: status.allocatable.cpu is "abc", expected a quantity of 0 or more; 0 counts',
            'Node n3: status.allocatable.memory is "-5", expected a quantity of 0 or more; 0 counts',
            'Pod shop/web: spec.containers.resources.requests.cpu is "abc", expected a quantity of 0 or more; 0 counts',
            'Pod shop/api: spec.containers.resources.requests.memory is "-5", expected a quantity of 0 or more; 0 counts',
          ],
        },
      ]);
      expect(err).toContain('9 objects of the snapshot are used but for a field:\n  Node n1: ');
      expect(err).toContain('and 4 more\n');
    });

    it('splits the traffic of a Service by workload, and tells of one without pods', async () => {
      const service = (name: string, app: string): object => object('Service', name, { spec: { selector: { app } } });
      const more = { labels: { app: 'api' } };
      const argv = write(
        [
          node('n1', good),
          ...[pod('web', {}), pod('api', {}, more), pod('api-canary', {}, more)],
          ...[service('api', 'api'), service('gone', 'nobody')],
        ],
        'shop,Pod,web,shop,Service,api,10,20\nshop,Pod,web,shop,Service,gone,3,4\n',
      );
      const { out, err } = await cli(...argv, '-o', 'json');
      const { cluster, problems } = JSON.parse(out) as SimulationReport;
      expect(cluster).toMatchObject({ pairs: 2, traffic: 30, otherTraffic: 7, unknownTrafficRows: 0 });
      expect(problems).toEqual([
        { problem: 'traffic-deserted', count: 1, samples: ['line 3: shop/Service/gone has no workload behind it'] },
      ]);
      expect(err).toContain('1 row of traffic names a Service without pods, and counts as traffic with the outside:\n');
    });

    it('says that pods had no place, and why', async () => {
      const argv = write(
        [node('n1', good), ...['a', 'b', 'c'].map((name) => pod(name, { cpu: '2' }))],
        'shop,Pod,a,shop,Pod,b,1,1\n',
      );
      const { out } = await cli(...argv);
      expect(out.replaceAll('\n  ', ' ')).toContain(
        'Up to 1 pod had no place: every node that they may go to was full',
      );
    });

    it('says why there is no price', async () => {
      const argv = write([node('n1', good), pod('web', {}), pod('api', {})], 'shop,Pod,web,shop,Pod,api,1,1\n');
      const { out } = await cli(...argv, '--price', '0.02');
      expect(out).toContain('What goes between zones cannot be priced: no node says its zone');
    });
  });

  it('keeps the table of every comparison within 80 columns, whatever the figures', async () => {
    for (const policy of [...['default', 'networkoverhead', 'netloom-plan'].map((name) => ['--policy', name]), []]) {
      const argv = [...made(), ...quick, ...policy, '--price', '123456.789', '--link-mbps', '1', '--seeds', '2'];
      const { code, out } = await cli(...argv);
      expect(code).toBe(0);
      expect(out.split('\n').filter((line) => displayWidth(line) > 80)).toEqual([]);
    }
  });
});
