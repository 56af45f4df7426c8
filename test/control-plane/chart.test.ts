import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { agentSection } from '../../cli/options/agent.ts';
import { schedulerSection } from '../../cli/options/scheduler.ts';
import type { OptionSpec, OptionSpecs } from '../../lib/config/types.ts';
import { formatValue, parseValue } from '../../lib/config/value.ts';
import { RESOURCES } from '../../scheduler/kubernetes/resources.ts';
import { Processes } from '../support/netloom.ts';
import { binaries } from './binaries.ts';
import { ControlPlane } from './control-plane.ts';
import { createNodes } from './nodes.ts';
import { StatusWriter } from './status-writer.ts';

const CHART = fileURLToPath(new URL('../../charts/netloom', import.meta.url));
const PLAIN = { reports: { insecure: true } };
const SECOND = { ...PLAIN, kubeScheduler: { enabled: true } };
const TLS = { reports: { tls: { schedulerSecret: 'scheduler-tls', agentSecret: 'agent-tls' } } };

/** What was parsed: looked into without types. */
type Parsed = ReturnType<typeof JSON.parse>;

interface KubeObject {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly uid?: string };
  readonly spec: Parsed;
  readonly data: Parsed;
}

let plane: ControlPlane;
let writer: StatusWriter;
const processes = new Processes();
let files = 0;

beforeAll(async () => {
  plane = await ControlPlane.start({ binaries: binaries() });
  await createNodes(
    plane.api,
    ['node-0', 'node-1', 'node-2'].map((name) => ({ name, labels: { 'kubernetes.io/os': 'linux' } })),
  );
  await plane.startScheduler();
  writer = new StatusWriter(plane.api).start();
  await plane.kubectl('create', 'namespace', 'netloom');
});

afterAll(async () => {
  await processes.cleanup();
  await writer?.stop();
  await plane?.stop();
});

/** A file of this test, JSON being YAML. */
async function file(content: object | string): Promise<string> {
  const path = join(plane.folder, `chart-${++files}.yaml`);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const inNamespace = ['--namespace', 'netloom'];
const helm = async (verb: string, values: object, ...args: string[]): Promise<string> =>
  plane.helm(verb, 'net', CHART, ...inNamespace, '--values', await file(values), ...args);

const render = (values: object): Promise<string> => helm('template', values, '--kube-version', 'v1.37.2');

const objectsOf = (text: string): KubeObject[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);

const find = (objects: readonly KubeObject[], kind: string, name?: string): KubeObject =>
  objects.find((object) => object.kind === kind && (name === undefined || object.metadata.name === name))!;

const everyKind = 'all,configmaps,serviceaccounts,secrets,persistentvolumeclaims,poddisruptionbudgets';
const clusterKinds = 'clusterroles,clusterrolebindings';

/** Everything of the release by kind/name, in all namespaces. */
async function remains(): Promise<string[]> {
  const label = ['--selector', 'app.kubernetes.io/instance=net', '--output', 'name'];
  const found = await Promise.all([
    plane.kubectl('get', everyKind, '--all-namespaces', ...label),
    plane.kubectl('get', `${clusterKinds},roles,rolebindings`, '--all-namespaces', ...label),
    plane.kubectl('get', 'secrets', '--all-namespaces', '--selector', 'owner=helm', '--output', 'name'),
  ]);
  return found.flatMap((text) => text.split('\n').filter((line) => line !== ''));
}

async function token(account: string, name: string): Promise<string> {
  const jwt = await plane.kubectl('create', 'token', account, ...inNamespace);
  const admin = parse(await plane.kubectl('config', 'view', '--raw')) as { clusters: object[] };
  return file({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: admin.clusters,
    users: [{ name, user: { token: jwt.trim() } }],
    contexts: [{ name, context: { cluster: 'test', user: name } }],
    'current-context': name,
  });
}

const MATRIX: readonly (readonly [what: string, values: object])[] = [
  ['plain', PLAIN],
  ['TLS', TLS],
  ['TLS without certificates of agents', { reports: { tls: { ...TLS.reports.tls, requireAgentCertificates: false } } }],
  ['extender over TLS', { ...PLAIN, extender: { tls: { secret: 'extender-tls' } } }],
  [
    'callers with certificates',
    { ...TLS, extender: { tls: { secret: 'extender-tls', requireClientCertificate: true } } },
  ],
  ['second kube-scheduler', { ...SECOND, kubeScheduler: { enabled: true, percentageOfNodesToScore: 10 } }],
  ['no agents', { agent: { enabled: false } }],
  ['persistence', { ...PLAIN, scheduler: { persistence: { enabled: true, storageClassName: 'fast', size: '10Gi' } } }],
  ['agents without pins', { ...PLAIN, agent: { pins: { enabled: false } } }],
  ['pins elsewhere', { ...PLAIN, agent: { pins: { hostPath: '/var/bpf/net', stateHostPath: '/var/run/net' } } }],
  ['RuntimeDefault', { ...PLAIN, agent: { seccomp: { type: 'RuntimeDefault' } } }],
  ['profile of the nodes', { ...PLAIN, agent: { seccomp: { type: 'Localhost', localhostProfile: 'a/b.json' } } }],
  [
    'everything',
    {
      ...PLAIN,
      fullnameOverride: 'traffic',
      image: { repository: 'example.com:5000/netloom', digest: `sha256:${'a'.repeat(64)}`, pullSecrets: ['pull'] },
      scheduler: {
        bindHost: '[::]',
        config: {
          ...{ scoreRange: 10, maxNamed: 5000, floor: '2M', replicaCap: 0.7, clientGrace: '1m30s', bodyLimit: '128Mi' },
          ...{ levelWeights: { node: 1, zone: 0.5 }, peerWait: '20ms', logLevel: 'debug', logFormat: 'json' },
        },
        service: { clusterIP: '10.96.7.7', extenderPort: 80, agentsPort: 81, annotations: { a: 'b' } },
        serviceAccount: { annotations: { a: 'b' } },
        podDisruptionBudget: { enabled: false },
        priorityClassName: 'system-cluster-critical',
        nodeSelector: { pool: 'infra' },
        tolerations: [{ key: 'infra', operator: 'Equal', value: 'yes', effect: 'NoSchedule' }],
        podAnnotations: { a: 'b' },
        podLabels: { a: 'b' },
      },
      agent: {
        config: { interval: '5s', mapEntries: 4194304, uplink: ['eth0'], uplinkSpeed: '10G', logFormat: 'json' },
        metrics: { enabled: true, port: 9100 },
        serviceAccount: { annotations: { a: 'b' } },
        maxUnavailable: 3,
        priorityClassName: 'system-node-critical',
        podAnnotations: { a: 'b' },
        podLabels: { a: 'b' },
      },
    },
  ],
];

describe('every object', () => {
  test.each(MATRIX)('is valid, and its configuration is one of the program: %s', async (_what, values) => {
    const text = await render(values);
    const dryRun = ['apply', '--dry-run=server', '--validate=strict'];
    const applied = await plane.kubectl(...dryRun, '--filename', await file(text));
    const objects = objectsOf(text);
    expect(applied.trim().split('\n').length).toBe(objects.length);
    const maps = objects.filter(({ kind, data }) => kind === 'ConfigMap' && data['netloom.yaml'] !== undefined);
    expect(maps.length).toBe(objects.some(({ kind }) => kind === 'DaemonSet') ? 2 : 1);
    for (const { data } of maps) {
      const [command] = Object.keys(parse(data['netloom.yaml']) as object);
      const config = await file(data['netloom.yaml'] as string);
      const env = { ...process.env, NETLOOM_AGENT_NODE: 'x' };
      const printed = await processes.run([command!, '--config', config, '--print-config'], { env });
      expect(printed).toMatchObject({ status: 0, stderr: '' });
    }
  });

  test('stays within what it needs: pods of the scheduler are "restricted", agents have two capabilities', async () => {
    await plane.kubectl('create', 'namespace', 'strict');
    await plane.kubectl('label', 'namespace', 'strict', 'pod-security.kubernetes.io/enforce=restricted');
    const objects = objectsOf(await render(SECOND));
    const podOf = async (kind: string): Promise<string> => {
      const { spec } = find(objects, kind).spec.template;
      // The account is admitted before it is there, the policy alone decides.
      const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'pod', namespace: 'strict' } };
      return file({ ...pod, spec: { ...spec, serviceAccountName: 'default' } });
    };
    const create = async (kind: string) => plane.kubectl('create', '--dry-run=server', '--filename', await podOf(kind));
    await expect
      .poll(() => create('StatefulSet').catch(String), { timeout: 10_000 })
      .toContain('pod/pod created (server dry run)');
    await expect(create('DaemonSet')).rejects.toThrow(/violates PodSecurity.*hostPID/s);

    const { spec } = find(objects, 'DaemonSet').spec.template;
    expect(spec).toMatchObject({ hostPID: true, automountServiceAccountToken: false });
    expect(spec).not.toHaveProperty('hostNetwork');
    expect(spec.containers[0].securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['BPF', 'PERFMON'] },
      seccompProfile: { type: 'Localhost', localhostProfile: expect.stringMatching(/^netloom\/agent-.*\.json$/) },
    });
    await plane.kubectl('delete', 'namespace', 'strict', '--wait=false');
  });

  test('pins lie where the host has them, in a folder that the agent makes; nothing of the host is seen without', async () => {
    const agentOf = async (values: object) => {
      const objects = objectsOf(await render(values));
      const { spec } = find(objects, 'DaemonSet').spec.template;
      const config = find(objects, 'ConfigMap', 'net-netloom-agent').data['netloom.yaml'] as string;
      const hostPaths = (spec.volumes as Parsed[]).flatMap(({ name, hostPath }) =>
        hostPath === undefined || name === 'seccomp' ? [] : [[name, hostPath.path, hostPath.type]],
      );
      return { hostPaths, mounts: spec.containers[0].volumeMounts as Parsed[], config: parse(config).agent };
    };
    const pinned = await agentOf({ ...PLAIN, agent: { pins: { hostPath: '/var/bpf/net' } } });
    expect(pinned.hostPaths).toEqual([
      ['bpffs', '/var/bpf', 'Directory'],
      ['state', '/run/netloom', 'DirectoryOrCreate'],
    ]);
    expect(pinned.mounts).toContainEqual({ name: 'bpffs', mountPath: '/sys/fs/bpf' });
    expect(pinned.mounts).toContainEqual({ name: 'state', mountPath: '/run/netloom' });
    expect(pinned.config).toMatchObject({ pins: '/sys/fs/bpf/net', state: '/run/netloom' });
    const bare = await agentOf({ ...PLAIN, agent: { pins: { enabled: false } } });
    expect(bare.hostPaths).toEqual([]);
    expect(bare.config).not.toHaveProperty('pins');
  });

  test.each([
    ['an unknown key', { ...PLAIN, schedular: {} }, /schedular/],
    ['an unknown key deep inside', { ...PLAIN, agent: { seccomp: { kind: 'x' } } }, /seccomp.*kind/s],
    ['a wrong type', { ...PLAIN, agent: { enabled: 'yes' } }, /agent.enabled.*boolean/s],
    ['an option that is out of bounds', { ...PLAIN, scheduler: { config: { maxNamed: 0 } } }, /maxNamed.*1/s],
    ['an option that the chart sets', { ...PLAIN, scheduler: { config: { listen: '0.0.0.0:1' } } }, /listen/],
    ['a duration without a unit', { ...PLAIN, agent: { config: { interval: '10' } } }, /interval.*pattern/s],
    ['pins on the bpffs itself', { ...PLAIN, agent: { pins: { hostPath: '/bpf' } } }, /hostPath.*pattern/s],
    [
      "the cluster's own scheduler",
      { ...PLAIN, kubeScheduler: { schedulerName: 'default-scheduler' } },
      /schedulerName: default-scheduler is the name of your cluster's own/,
    ],
    ['no choice how to report', {}, /choose how agents report.*reports.insecure=true/],
    ['both choices', { reports: { ...TLS.reports, insecure: true } }, /contradicts/],
    ['half of TLS', { reports: { tls: { schedulerSecret: 'x' } } }, /belong together/],
    [
      'certificates asked for without TLS',
      { ...PLAIN, extender: { tls: { requireClientCertificate: true } } },
      /needs/,
    ],
    ['TLS to oneself', { ...SECOND, extender: { tls: { secret: 'x' } } }, /127.0.0.1 in plain HTTP/],
    ['an address that nobody reaches', { ...PLAIN, scheduler: { bindHost: '127.0.0.1' } }, /bindHost.*0\.0\.0\.0/s],
    ['one port twice', { ...PLAIN, scheduler: { service: { extenderPort: 9753 } } }, /two ports of one Service/],
    ...['scheduler', 'agent'].flatMap((component): [string, object, RegExp][] => [
      [
        `a label of the chart's own (${component})`,
        { ...PLAIN, [component]: { podLabels: { 'app.kubernetes.io/name': 'x' } } },
        /podLabels: the chart itself sets app.kubernetes.io.name/,
      ],
      [
        `an annotation of the chart's own (${component})`,
        { ...PLAIN, [component]: { podAnnotations: { 'checksum/config': 'x' } } },
        /podAnnotations: the chart itself sets/,
      ],
      [`no label (${component})`, { ...PLAIN, [component]: { podLabels: { a: 'b c' } } }, /podLabels.*pattern/s],
    ]),
    [
      "the host's whole /sys/fs",
      { ...PLAIN, agent: { pins: { hostPath: '/sys/fs/bpf' } } },
      /hostPath.*all of .sys.fs/,
    ],
    ["the host's whole /run", { ...PLAIN, agent: { pins: { stateHostPath: '/run' } } }, /stateHostPath.*pattern/s],
    ['a volume of nothing', { ...PLAIN, scheduler: { persistence: { size: '0Gi' } } }, /size must be above 0/],
    ['no address of a Service', { ...PLAIN, scheduler: { service: { clusterIP: '10.1' } } }, /clusterIP.*pattern/s],
    ['a name that a Service cannot have', { ...PLAIN, fullnameOverride: '1st' }, /begin with a letter/],
    ['a profile without a name', { ...PLAIN, agent: { seccomp: { type: 'Localhost' } } }, /localhostProfile/],
  ])('%s is refused', async (_what, values, message) => {
    await expect(render(values)).rejects.toThrow(message);
  });
});

/** By `--set`, which passes fractions as text. */
const rendersWith = (...sets: string[]): Promise<string> =>
  plane.helm(
    ...['template', 'net', CHART, ...inNamespace, '--kube-version', 'v1.37.2', '--set', 'reports.insecure=true'],
    ...sets.flatMap((set) => ['--set', set]),
  );

describe('options of the program', () => {
  /** Set by the chart itself, or not offered by it. */
  const APART: Readonly<Record<string, readonly string[]>> = {
    scheduler: [
      ...['listen', 'listenAgents', 'listenApi', 'tls.cert', 'tls.key', 'tls.clientCa', 'agentsTls.cert'],
      ...['agentsTls.key', 'agentsTls.clientCa', 'insecure', 'snapshot', 'kubeconfig', 'inCluster', 'traffic', 'store'],
    ],
    agent: [
      ...['node', 'scheduler', 'tls.ca', 'tls.cert', 'tls.key', 'tls.serverName', 'insecure', 'scope', 'pins', 'state'],
      ...['uplinkNetns', 'enforce', 'shadow', 'dryRun', 'snapshot', 'kubeconfig', 'inCluster', 'limitSlots'],
      'metricsListen',
    ],
  };
  const sections = [schedulerSection, agentSection].map(({ name, options }) => {
    const given = Object.entries(options as OptionSpecs).filter(([key]) => APART[name]!.includes(key) === false);
    return { name, given };
  });

  test('can be set, all of them', async () => {
    const schema = JSON.parse(await readFile(join(CHART, 'values.schema.json'), 'utf8'));
    for (const { name, given } of sections) {
      const offered = Object.keys(schema.properties[name].properties.config.properties as object);
      expect(offered.sort()).toEqual(given.map(([key]) => key).sort());
    }
  });

  /** The next value beyond a bound, in the option's notation. */
  const beyond = (spec: OptionSpec, bound: string | number, by: 1 | -1): string => {
    const value = parseValue(spec, { kind: 'text', text: String(bound) }, '/') as { value: number };
    const step = spec.type === 'number' || spec.type === 'numbers' ? by / 1000 : by;
    return spec.type === 'numbers' ? String(Number(bound) + step) : formatValue(spec, value.value + step);
  };
  const bounds = sections.flatMap(({ name, given }) =>
    given.flatMap(([key, spec]) =>
      (['min', 'max'] as const).flatMap((end) => {
        const bound = spec[end];
        if (bound === undefined) return [];
        const place = `${name}.config.${key}${spec.type === 'numbers' ? '.node' : ''}`;
        // Below 0 there is no notation.
        const out =
          end === 'min' && Number.parseFloat(String(bound)) === 0 ? '-1' : beyond(spec, bound, end === 'min' ? -1 : 1);
        return [{ place, bound: String(bound), out, spec }];
      }),
    ),
  );

  test.each(bounds)('$place is taken to $bound, and $out is refused', async ({ place, bound, out, spec }) => {
    await expect(rendersWith(`${place}=${out}`)).rejects.toThrow(place.split('.').at(-1)!);
    if (spec.type !== 'numbers') expect(await rendersWith(`${place}=${bound}`)).toContain('kind: StatefulSet');
  });

  test.each(['scheduler.config.levelWeights.node=0.2', 'scheduler.config.levelWeights.region=0.4'])(
    'weights may not grow with the distance: %s',
    async (set) => {
      await expect(rendersWith(set)).rejects.toThrow(/none above the one before it/);
    },
  );

  test('fractions may be text, as --set passes them, and the program reads them', async () => {
    const text = await rendersWith('scheduler.config.replicaCap=0.6', 'scheduler.config.levelWeights.zone=.5');
    const config = await file(
      find(objectsOf(text), 'ConfigMap', 'net-netloom-scheduler').data['netloom.yaml'] as string,
    );
    const { stdout, status } = await processes.run(['scheduler', '--config', config, '--print-config']);
    expect(status).toBe(0);
    expect(parse(stdout).scheduler).toMatchObject({
      replicaCap: 0.6,
      levelWeights: { node: 1, zone: 0.5, region: 0.1 },
    });
  });

  test('without Events there is no right to create them', async () => {
    const rolesOf = async (...sets: string[]) =>
      JSON.stringify(find(objectsOf(await rendersWith(...sets)), 'ClusterRole'));
    expect(await rolesOf()).toContain('"events"');
    expect(await rolesOf('scheduler.config.eventsUpToNodes=0')).not.toContain('events');
  });
});

describe('the entry for kube-scheduler', () => {
  test('has an address of IPv6 in brackets', async () => {
    const values = { ...PLAIN, scheduler: { service: { clusterIP: 'fd00::10' } } };
    expect(await helm('install', values, '--dry-run=client')).toContain('urlPrefix: http://[fd00::10]:9750');
  });

  const tls = ['--tls-cert', 'x', '--tls-key', 'x'];
  test.each([
    ['plain', PLAIN, []],
    ['nodes refused', { ...PLAIN, scheduler: { config: { maxLinkUse: 0.9 } } }, ['--max-link-use', '0.9']],
    ['scores of 0..10', { ...PLAIN, scheduler: { config: { scoreRange: 10 } } }, ['--score-range', '10']],
    ['TLS', { ...PLAIN, extender: { tls: { secret: 'x' } } }, tls],
    [
      'TLS with certificates',
      { ...PLAIN, extender: { tls: { secret: 'x', requireClientCertificate: true } } },
      [...tls, '--tls-client-ca', 'x'],
    ],
  ])('is the one that the program prints: %s', async (_what, values, flags) => {
    const notes = (await helm('install', values, '--dry-run=client')).split('NOTES:')[1]!;
    const entry = /^extenders:\n(?:[- ] .*\n)+/m.exec(notes)![0];
    const address = 'net-netloom-scheduler.netloom.svc:9750';
    // Only an address is printed from --listen: a name is put in afterwards.
    const printed = await processes.run(
      ['scheduler', '--print-kube-scheduler-config', '--listen', '10.9.8.7:9750'].concat(flags),
    );
    expect(printed.status).toBe(0);
    const { extenders } = parse(printed.stdout.replace('10.9.8.7:9750', address)) as { extenders: object[] };
    expect(parse(entry)).toEqual({ extenders });
  });
});

describe('a release', () => {
  const podsOf = async (component: string): Promise<KubeObject[]> => {
    const selector = `app.kubernetes.io/component=${component},app.kubernetes.io/instance=net`;
    const text = await plane.kubectl('get', 'pods', ...inNamespace, '--selector', selector, '--output', 'json');
    return (JSON.parse(text) as { items: KubeObject[] }).items;
  };
  const configOf = async (name: string): Promise<Parsed> => {
    const { data } = JSON.parse(await plane.kubectl('get', 'configmap', name, ...inNamespace, '-o', 'json'));
    return parse(data['netloom.yaml']);
  };
  let netloomKubeconfig = '';

  test('is installed: one scheduler, an agent on every node, notes that warn of plain text', async () => {
    const notes = await helm('install', SECOND, '--wait', '--timeout', '60s');
    expect(notes).toContain('WARNING: reports.insecure');
    expect(notes).toContain('schedulerName: netloom');
    expect(notes.match(/^ {2}kubectl -n netloom /gm)!.length).toBeGreaterThanOrEqual(3);
    expect((await podsOf('scheduler')).map(({ metadata }) => metadata.name)).toEqual(['net-netloom-scheduler-0']);
    const nodes = (await podsOf('agent')).map(({ spec }) => spec.nodeName as string);
    expect(nodes.sort()).toEqual(['node-0', 'node-1', 'node-2']);
    const agent = await configOf('net-netloom-agent');
    const [service, namespace] = agent.agent.scheduler.split(/[.:]/);
    const found = JSON.parse(await plane.kubectl('get', 'service', service, '--namespace', namespace, '-o', 'json'));
    expect(found.spec.ports.map(({ port }: { port: number }) => port)).toContain(9753);
  });

  test('its second kube-scheduler schedules with the rights and the configuration of the chart', async () => {
    const kubeconfig = await token('net-netloom-kube-scheduler', 'kube-scheduler');
    const netloom = await processes.scheduler(['--kubeconfig', kubeconfig]);
    await netloom.ready();
    const map = 'net-netloom-kube-scheduler';
    const { data } = JSON.parse(await plane.kubectl('get', 'configmap', map, ...inNamespace, '-o', 'json'));
    expect(data['config.yaml']).toContain('127.0.0.1:9750');
    const config = parse(data['config.yaml'].replace('127.0.0.1:9750', netloom.extender)) as object;
    const scheduler = await plane.startScheduler({
      name: 'second',
      config: { ...config, clientConnection: { kubeconfig } },
      args: [`--authentication-kubeconfig=${kubeconfig}`, `--authorization-kubeconfig=${kubeconfig}`],
    });
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'chosen', namespace: 'default' } };
    const spec = { schedulerName: 'netloom', containers: [{ name: 'c', image: 'x' }] };
    await plane.kubectl('create', '--filename', await file({ ...pod, spec }));
    await plane.kubectl('wait', 'pod/chosen', '--namespace', 'default', '--for=condition=Ready', '--timeout=30s');
    expect(scheduler.log()).not.toMatch(/forbidden/i);
    expect(await netloom.metric('netloom_extender_duration_seconds_count{verb="prioritize"}')).toBeGreaterThan(0);
    await plane.stopScheduler(scheduler);
    await netloom.end();
    await plane.kubectl('delete', 'pod', 'chosen', '--namespace', 'default');
  });

  test('is upgraded: what changed rolls out, the rest stays', async () => {
    const uidsOfAgents = async () => new Set((await podsOf('agent')).map(({ metadata }) => metadata.uid));
    const agents = await uidsOfAgents();
    const [before] = await podsOf('scheduler');
    await helm('upgrade', { ...PLAIN, scheduler: { config: { scoreRange: 10 } } }, '--wait', '--timeout', '60s');
    expect(await configOf('net-netloom-scheduler')).toMatchObject({ scheduler: { scoreRange: 10 } });
    await expect
      .poll(async () => (await podsOf('scheduler')).map(({ spec }) => spec.containers.length), { timeout: 20_000 })
      .toEqual([1]);
    const [after] = await podsOf('scheduler');
    expect(after!.metadata.uid).not.toBe(before!.metadata.uid);
    expect(await uidsOfAgents()).toEqual(agents);
  });

  test("the scheduler's account can read what it watches and nothing else; the program syncs with it", async () => {
    netloomKubeconfig = await token('net-netloom-scheduler', 'netloom');
    const kubectl = (...args: string[]) => plane.kubectl('--kubeconfig', netloomKubeconfig, ...args);
    const can = async (...args: string[]) => (await kubectl('auth', 'can-i', ...args).catch(() => 'no')).trim();
    for (const { path } of RESOURCES) {
      const [, , group, resource] = /^\/(api|apis\/(.*))\/v1\/(.*)$/.exec(path)!;
      const full = group === undefined ? resource! : `${resource}.${group}`;
      expect(JSON.parse(await kubectl('get', '--raw', `${path}?limit=1`))).toHaveProperty('items');
      for (const verb of ['get', 'watch']) expect(await can(verb, full, '--all-namespaces')).toBe('yes');
      for (const verb of ['create', 'update', 'patch', 'delete', 'deletecollection']) {
        expect(await can(verb, full, '--all-namespaces'), `${verb} ${full}`).toBe('no');
      }
    }
    for (const path of ['/api/v1/secrets', '/api/v1/configmaps', '/api/v1/serviceaccounts', '/api/v1/events']) {
      await expect(kubectl('get', '--raw', path)).rejects.toThrow(/forbidden/i);
    }
    for (const [resource, subresource] of ['pods/exec', 'pods/log', 'nodes/proxy', 'pods/binding'].map((p) =>
      p.split('/'),
    )) {
      for (const verb of ['get', 'create']) {
        expect(await can(verb, resource!, '--subresource', subresource!), `${verb} ${subresource}`).toBe('no');
      }
    }
    // It says on pods why they are where they are, and reads nobody's Events.
    expect(await can('create', 'events', '--all-namespaces')).toBe('yes');
    for (const verb of ['update', 'patch', 'delete']) expect(await can(verb, 'events')).toBe('no');
    await expect(kubectl('create', 'namespace', 'mine')).rejects.toThrow(/forbidden/i);

    const netloom = await processes.scheduler(['--kubeconfig', netloomKubeconfig]);
    await netloom.ready();
    expect(netloom.process.log().filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    await netloom.end();
  });

  test("the agent's account may do nothing", async () => {
    const kubeconfig = await token('net-netloom-agent', 'agent');
    for (const { path } of RESOURCES) {
      await expect(plane.kubectl('--kubeconfig', kubeconfig, 'get', '--raw', path)).rejects.toThrow(/forbidden/i);
    }
    const rules = JSON.parse(
      await plane.kubectl('get', 'clusterrolebindings,rolebindings', '--all-namespaces', '-o', 'json'),
    ) as { items: { subjects?: { name: string }[] }[] };
    expect(rules.items.flatMap(({ subjects }) => subjects ?? []).map(({ name }) => name)).not.toContain(
      'net-netloom-agent',
    );
    const mounted = (await podsOf('agent')).flatMap(({ spec }) => spec.volumes as { name: string }[]);
    expect(mounted.length).toBeGreaterThan(0);
    expect(mounted.filter(({ name }) => name.startsWith('kube-api-access'))).toEqual([]);
  });

  test('is rolled back, and uninstalled with nothing left', async () => {
    await plane.helm('rollback', 'net', '1', ...inNamespace, '--wait', '--timeout', '60s');
    expect((await configOf('net-netloom-scheduler')).scheduler).not.toHaveProperty('scoreRange');
    await expect
      .poll(async () => (await podsOf('scheduler')).map(({ spec }) => spec.containers.length), { timeout: 20_000 })
      .toEqual([2]);
    expect((await remains()).length).toBeGreaterThan(10);
    await plane.helm('uninstall', 'net', ...inNamespace, '--wait', '--timeout', '60s');
    await expect.poll(remains, { timeout: 20_000 }).toEqual([]);
    expect(writer.failures).toEqual([]);
  });

  test('with its volume deleted by choice', async () => {
    const persistence = { enabled: true, whenDeleted: 'Delete' };
    await helm('install', { agent: { enabled: false }, scheduler: { persistence } });
    const claims = () => plane.kubectl('get', 'persistentvolumeclaims', ...inNamespace, '--output', 'name');
    await expect.poll(claims, { timeout: 20_000 }).toContain('store-net-netloom-scheduler-0');
    await plane.helm('uninstall', 'net', ...inNamespace);
    await expect.poll(claims, { timeout: 20_000 }).toBe('');
    await expect.poll(remains, { timeout: 20_000 }).toEqual([]);
  });
});
