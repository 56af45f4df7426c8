import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kernelTests } from '../../scripts/test-scope.ts';
import { clusterFile } from '../support/cluster-file.ts';
import { Processes } from '../support/netloom.ts';

const processes = new Processes();
let dir: string;
let taken: Server;
let takenPort: number;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'netloom-e2e-'));
  taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  takenPort = (taken.address() as { port: number }).port;
  const files: Readonly<Record<string, string>> = {
    'cluster.json': clusterFile({ namespace: 'shop', nodes: [{ name: 'alpha', zone: 'east' }], workloads: [] }),
    'cut.json': '{"apiVersion":"v1","kind":"List","items":[{"kind":"Node","metadata":{"na',
    'table.json': 'NAME    READY   STATUS\nweb-1   1/1     Running\n',
    'header.csv': 'from,to,bytes\n',
    'row.csv':
      'namespace,workload_kind,workload,peer_namespace,peer_kind,peer,bytes_per_second_out,bytes_per_second_in\n' +
      'shop,Deployment,web,shop,Deployment,api,12,many\n',
    'typo.yaml': 'scheduler:\n  snapshoot: x.json\n',
    'value.yaml': 'scheduler:\n  scoring:\n    floor: fast\n',
    'broken.yaml': 'scheduler: [\n',
    'cert.pem': 'this is no certificate\n',
    'key.pem': 'nor a key\n',
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  await mkdir(join(dir, 'folder'));
  await chmod(join(dir, 'folder'), 0o555);
});

afterAll(async () => {
  await processes.cleanup();
  await new Promise((resolve) => taken.close(resolve));
  await rm(dir, { recursive: true, force: true });
});

const SCHEDULER = [
  'scheduler',
  '--listen',
  '127.0.0.1:0',
  '--listen-agents',
  '127.0.0.1:0',
  '--listen-api',
  '127.0.0.1:0',
];
const AGENT = ['agent', '--node', 'worker-1'];
const USAGE = 2;
const FAILURE = 1;

/** DIR and PORT stand for the folder of the test's files and for a port that somebody has. */
const CASES: readonly {
  readonly what: string;
  readonly args: readonly string[];
  readonly status: number;
  readonly code: string;
  /** What its message names. */
  readonly says: readonly string[];
}[] = [
  { what: 'no such command', args: ['schedule'], status: USAGE, code: 'USAGE', says: ['scheduler'] },
  { what: 'no such flag', args: ['scheduler', '--snapshots', 'x'], status: USAGE, code: 'USAGE', says: ['--snapshot'] },
  { what: 'a flag without its value', args: ['graph', '--api'], status: USAGE, code: 'USAGE', says: ['--api'] },
  { what: 'an argument too many', args: ['top', 'nodes'], status: USAGE, code: 'USAGE', says: ['nodes'] },
  { what: 'no argument', args: ['explain'], status: USAGE, code: 'USAGE', says: ['TARGET'] },
  { what: 'no node name', args: ['agent'], status: USAGE, code: 'CONFIG_MISSING', says: ['--node'] },
  { what: 'a wrong choice', args: ['top', '-o', 'xml'], status: USAGE, code: 'CONFIG_INVALID', says: ['xml', 'yaml'] },
  {
    what: 'a value out of bounds',
    args: [...AGENT, '--interval', '5ms'],
    status: USAGE,
    code: 'CONFIG_INVALID',
    says: ['--interval', '5ms', '100ms'],
  },
  {
    what: 'a port that is none',
    args: ['scheduler', '--listen', '127.0.0.1:99999'],
    status: USAGE,
    code: 'CONFIG_INVALID',
    says: ['--listen', '99999'],
  },
  {
    what: 'a certificate without its key',
    args: [...SCHEDULER, '--tls-cert', 'DIR/cert.pem'],
    status: USAGE,
    code: 'CONFIG_CONFLICT',
    says: ['tls.key'],
  },
  {
    what: 'an unknown configuration key',
    args: [...SCHEDULER, '--config', 'DIR/typo.yaml'],
    status: USAGE,
    code: 'CONFIG_UNKNOWN_KEY',
    says: ['DIR/typo.yaml', 'snapshoot', 'snapshot'],
  },
  {
    what: 'a wrong configured value',
    args: [...SCHEDULER, '--config', 'DIR/value.yaml'],
    status: USAGE,
    code: 'CONFIG_UNKNOWN_KEY',
    says: ['DIR/value.yaml', 'scoring'],
  },
  {
    what: 'a configuration file that is no YAML',
    args: [...SCHEDULER, '--config', 'DIR/broken.yaml'],
    status: USAGE,
    code: 'CONFIG_INVALID',
    says: ['DIR/broken.yaml'],
  },
  {
    what: 'a configuration file that is not there',
    args: [...SCHEDULER, '--config', 'DIR/none.yaml'],
    status: USAGE,
    code: 'CONFIG_UNREADABLE',
    says: ['DIR/none.yaml'],
  },
  {
    what: 'a snapshot that is not there',
    args: [...SCHEDULER, '--snapshot', 'DIR/none.json'],
    status: FAILURE,
    code: 'SNAPSHOT_UNREADABLE',
    says: ['DIR/none.json'],
  },
  {
    what: 'a snapshot that is a folder',
    args: [...SCHEDULER, '--snapshot', 'DIR/folder'],
    status: FAILURE,
    code: 'SNAPSHOT_UNREADABLE',
    says: ['DIR/folder'],
  },
  {
    what: 'a snapshot that is cut off',
    args: [...SCHEDULER, '--snapshot', 'DIR/cut.json'],
    status: FAILURE,
    code: 'SNAPSHOT_TRUNCATED',
    says: ['DIR/cut.json'],
  },
  {
    what: "kubectl's table instead of JSON",
    args: [...SCHEDULER, '--snapshot', 'DIR/table.json'],
    status: FAILURE,
    code: 'SNAPSHOT_WRONG_FORM',
    says: ['DIR/table.json', '-o json'],
  },
  {
    what: 'a traffic file with another header',
    args: [...SCHEDULER, '--snapshot', 'DIR/cluster.json', '--traffic', 'DIR/header.csv'],
    status: FAILURE,
    code: 'TRAFFIC_HEADER',
    says: ['DIR/header.csv', 'bytes_per_second_out'],
  },
  {
    what: 'a traffic file with a bad figure',
    args: [...SCHEDULER, '--snapshot', 'DIR/cluster.json', '--traffic', 'DIR/row.csv'],
    status: FAILURE,
    code: 'TRAFFIC_ROW',
    says: ['DIR/row.csv', '2', 'many'],
  },
  {
    what: "the extender's port in use",
    args: [...SCHEDULER, '--listen', '127.0.0.1:PORT'],
    status: FAILURE,
    code: 'EXTENDER_LISTEN_FAILED',
    says: ['127.0.0.1:PORT', 'EADDRINUSE'],
  },
  {
    what: "the agents' port in use",
    args: [...SCHEDULER, '--listen-agents', '127.0.0.1:PORT'],
    status: FAILURE,
    code: 'REPORT_LISTEN_FAILED',
    says: ['127.0.0.1:PORT', '--listen-agents'],
  },
  {
    what: "the read API's port in use",
    args: [...SCHEDULER, '--listen-api', '127.0.0.1:PORT'],
    status: FAILURE,
    code: 'API_LISTEN_FAILED',
    says: ['127.0.0.1:PORT', '--listen-api'],
  },
  {
    what: 'a read API for everybody',
    args: [...SCHEDULER, '--listen-api', '0.0.0.0:0'],
    status: FAILURE,
    code: 'API_NOT_LOOPBACK',
    says: ['0.0.0.0'],
  },
  {
    what: "an agents' listener for everybody without TLS",
    args: [...SCHEDULER, '--listen-agents', '0.0.0.0:0'],
    status: FAILURE,
    code: 'REPORT_TLS_REQUIRED',
    says: ['0.0.0.0'],
  },
  {
    what: 'a certificate that is not there',
    args: [...SCHEDULER, '--tls-cert', 'DIR/none.pem', '--tls-key', 'DIR/key.pem'],
    status: FAILURE,
    code: 'TLS_UNUSABLE',
    says: ['DIR/none.pem'],
  },
  {
    what: 'a certificate that is none',
    args: [...SCHEDULER, '--tls-cert', 'DIR/cert.pem', '--tls-key', 'DIR/key.pem'],
    status: FAILURE,
    code: 'TLS_UNUSABLE',
    says: ['DIR/cert.pem'],
  },
  {
    what: "an agents' certificate that is none",
    args: [...SCHEDULER, '--agents-tls-cert', 'DIR/cert.pem', '--agents-tls-key', 'DIR/key.pem'],
    status: FAILURE,
    code: 'TLS_UNUSABLE',
    says: ['DIR/cert.pem'],
  },
  {
    what: 'no scheduler to ask',
    args: ['graph', '--api', '127.0.0.1:1'],
    status: FAILURE,
    code: 'API_UNREACHABLE',
    says: ['http://127.0.0.1:1', '--api'],
  },
  {
    what: 'something that is neither pod nor workload',
    args: ['explain', 'cart', '--api', '127.0.0.1:1'],
    status: USAGE,
    code: 'USAGE',
    says: ['TARGET', 'cart', 'NAMESPACE/POD'],
  },
  ...[['pod'], ['pod', 'shop'], ['pod', '/'], ['shop/cart', 'pod'], ['pod', 'a/b/c'], ['deployment', 'cart']].map(
    (target) => ({
      what: `no target: explain ${target.join(' ')}`,
      args: ['explain', ...target, '--api', '127.0.0.1:1'],
      status: USAGE,
      code: 'USAGE',
      says: ['TARGET', target.join(' '), 'NAMESPACE/POD', 'netloom explain --help'],
    }),
  ),
  {
    what: 'a ServiceAccount outside of a pod',
    args: [...SCHEDULER, '--in-cluster'],
    status: FAILURE,
    code: 'KUBECONFIG_UNUSABLE',
    says: ['KUBERNETES_SERVICE_HOST', 'no pod', '--kubeconfig FILE'],
  },
  {
    what: 'an agent that would report in plain text',
    args: [...AGENT, '--scheduler', '192.0.2.1:9753'],
    status: FAILURE,
    code: 'REPORT_TLS_REQUIRED',
    says: ['192.0.2.1', '--tls-ca'],
  },
  {
    what: 'a lab without its scenario',
    args: ['lab', 'up', '--scenario', 'DIR/none.json'],
    status: FAILURE,
    code: 'LAB_SCENARIO_INVALID',
    says: ['DIR/none.json'],
  },
  {
    what: 'a lab action that does not exist',
    args: ['lab', 'upp'],
    status: USAGE,
    code: 'USAGE',
    says: ['upp', 'up'],
  },
];

describe('what cannot work is refused with what, where and what to do', () => {
  it.each(CASES)('$what', async ({ args, status, code, says }) => {
    const named = (text: string): string => text.replace('DIR', dir).replace('PORT', String(takenPort));
    const run = await processes.run(args.map(named), { cwd: dir });
    expect(run).toMatchObject({ status, stdout: '' });
    expect(run.stderr).toContain(`${code}: `);
    for (const text of says) expect(run.stderr).toContain(named(text));
    expect(run.stderr).toMatch(/^ {2}do: {7}\S/m);
    expect(run.stderr).not.toMatch(/^\s+at /m);
    expect(run.stderr).not.toMatch(/\[object|undefined|NaN/);
  });
});

describe('a scheduler', () => {
  it('does not save where another one does, until that has ended', async () => {
    const store = ['--store', join(dir, 'graph.db'), '--snapshot', join(dir, 'cluster.json')];
    const first = await processes.scheduler(store);
    const run = await processes.run([...SCHEDULER, ...store]);
    expect(run.status).toBe(FAILURE);
    for (const text of ['STORE_IN_USE: ', join(dir, 'graph.db')]) expect(run.stderr).toContain(text);
    await first.process.end('SIGKILL');
    await (await processes.scheduler(store)).end();
  });

  it('warns where other machines reach it in plain HTTP, and only there', async () => {
    const what = 'kube-scheduler is answered in plain HTTP: whoever reaches the address may ask, and read /metrics';
    for (const [host, count] of [
      ['0.0.0.0', 1],
      ['127.0.0.1', 0],
    ] as const) {
      const scheduler = await processes.scheduler(['--listen', `${host}:0`]);
      expect(scheduler.process.log().filter(({ msg }) => msg === what)).toHaveLength(count);
      await scheduler.end();
    }
  });
});

describe.runIf(kernelTests().run)('an agent', () => {
  it('that points at nothing goes on, says so, and ends in order with what it had to leave', async () => {
    const agent = processes.start([
      ...AGENT,
      '--scheduler',
      '127.0.0.1:1',
      '--interval',
      '100ms',
      '--log-format',
      'json',
    ]);
    await agent.says('measuring');
    const complaint = await agent.says('not connected to the scheduler; reports are kept');
    expect(complaint).toMatchObject({ level: 'warn', scheduler: '127.0.0.1:1' });
    expect(String(complaint['reason'])).toContain('ECONNREFUSED');
    expect(agent.running).toBe(true);
    expect(await agent.end('SIGTERM')).toEqual({ status: 0, signal: null });
    expect(agent.log().at(-1)).toMatchObject({ level: 'warn', msg: 'reports are left unsent' });
  });

  it('whose certificates are not there does not start', async () => {
    const file = join(dir, 'none.pem');
    const run = await processes.run([...AGENT, '--tls-ca', file]);
    expect(run.status).toBe(FAILURE);
    for (const text of ['TLS_UNUSABLE: ', file, 'ENOENT', '--tls-ca']) expect(run.stderr).toContain(text);
    expect(run.stderr).not.toMatch(/^\s+at /m);
  });
});
