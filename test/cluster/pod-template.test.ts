import { describe, expect, it } from 'vitest';
import { podEgress } from '../../scheduler/cluster/egress.ts';
import { Interner } from '../../scheduler/cluster/interner.ts';
import { snapshotChunks } from '../../scheduler/cluster/native-format.ts';
import { imageRepository, podTemplate } from '../../scheduler/cluster/pod-template.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { servicesMeant } from '../../scheduler/cluster/references.ts';
import { hasSoftPreferences } from '../../scheduler/cluster/soft-preferences.ts';
import { ClusterState } from '../../scheduler/cluster/state.ts';

const referencesOf = (container: object): readonly string[] =>
  podTemplate({ containers: [container] }, undefined)?.references ?? [];
const ofEnv = (value: string, name = 'X'): readonly string[] => referencesOf({ env: [{ name, value }] });

describe('references to Services', () => {
  it('are hosts in env, whatever stands around them', () => {
    expect(ofEnv('redis-cart:6379')).toEqual(['redis-cart']);
    expect(ofEnv('cart')).toEqual(['cart']);
    expect(ofEnv('http://user:word@web.shop.svc.cluster.local:80/path?x=y')).toEqual(['web.shop']);
    expect(ofEnv('kafka-0.kafka:9092,kafka-1.kafka.mq.svc:9092')).toEqual(['kafka-0.kafka', 'kafka-1.kafka.mq']);
    expect(ofEnv('postgres://db/app')).toEqual(['db']);
  });

  it('are hosts in args, with or without a flag', () => {
    expect(referencesOf({ command: ['/bin/app'], args: ['--redis=redis:6379', '--db', 'db', 'web'] })).toEqual([
      'db',
      'redis',
      'web',
    ]);
  });

  it('are no numbers, paths, capitals, addresses or words of a script; of a script only what looks like an address', () => {
    for (const value of ['8080', '/var/lib/x', 'INFO', '10.0.0.1', '', 'a_b', 'very.long.name.of.a.host.example']) {
      expect(ofEnv(value)).toEqual([]);
    }
    expect(ofEnv('for i in web db; do curl http://web/; nc cart:80; done')).toEqual(['cart', 'web']);
  });

  it('are not looked for where secrets are', () => {
    expect(ofEnv('hunter', 'DB_PASSWORD')).toEqual([]);
    expect(referencesOf({ args: ['--token', 'hunter', '--api-key=hunter', 'web'] })).toEqual(['web']);
  });

  it('may mean a Service, one of another namespace, or the pod of a headless one', () => {
    const meant = (reference: string): string[] =>
      servicesMeant(reference, 'shop').map(({ name, namespace }) => `${namespace}/${name}`);
    expect(meant('db')).toEqual(['shop/db']);
    expect(meant('db.data')).toEqual(['data/db', 'shop/data']);
    expect(meant('db-0.db.data')).toEqual(['data/db']);
  });

  it('are few, however much a pod says', () => {
    const env = Array.from({ length: 5_000 }, (_, i) => ({ name: `E${i}`, value: `host-${i}` }));
    expect(referencesOf({ env })).toHaveLength(64);
    expect(ofEnv('x'.repeat(100_000))).toEqual([]);
  });
});

describe('what else a template tells', () => {
  it('its images without tag and digest', () => {
    expect(imageRepository('registry:5000/shop/cart:v2@sha256:00')).toBe('registry:5000/shop/cart');
    expect(imageRepository('redis')).toBe('redis');
    expect(imageRepository('registry:5000/redis')).toBe('registry:5000/redis');
  });

  it('pods of one ReplicaSet share one, and exports leave out texts that name no Service', () => {
    const interner = new Interner();
    const pod = (name: string) => ({
      kind: 'Pod',
      metadata: {
        namespace: 'shop',
        name,
        labels: { 'pod-template-hash': '5d' },
        ownerReferences: [{ kind: 'ReplicaSet', name: 'web-5d', uid: 'rs', controller: true }],
      },
      spec: {
        containers: [{ image: 'web:1', env: ['cart:80', 'whatever'].map((value, i) => ({ name: `E${i}`, value })) }],
      },
    });
    const records = ['a', 'b'].map((name) => {
      const projection = projectObject(pod(name), undefined, interner);
      if (projection.outcome !== 'record' || projection.record.type !== 'pod') throw new Error('no pod');
      return projection.record;
    });
    expect(records[0]!.template).toBe(records[1]!.template);
    const state = new ClusterState();
    const cart = projectObject({ kind: 'Service', metadata: { namespace: 'shop', name: 'cart' }, spec: {} });
    const service = cart.outcome === 'record' ? cart.record : undefined;
    state.apply([...records, service!].map((record) => ({ op: 'upsert', record })));
    const text = [...snapshotChunks(state)].join('');
    expect(text).toContain('"references":["cart"]');
    expect(text).not.toContain('whatever');
  });

  it('soft preferences: those that kube-scheduler weighs', () => {
    const preferred = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1 }] };
    const required = { requiredDuringSchedulingIgnoredDuringExecution: [{}] };
    expect(hasSoftPreferences({ affinity: { podAntiAffinity: preferred } })).toBe(true);
    expect(hasSoftPreferences({ affinity: { nodeAffinity: preferred } })).toBe(true);
    expect(hasSoftPreferences({ affinity: { podAffinity: required } })).toBe(false);
    expect(hasSoftPreferences({ topologySpreadConstraints: [{ whenUnsatisfiable: 'ScheduleAnyway' }] })).toBe(true);
    expect(hasSoftPreferences({ topologySpreadConstraints: [{ whenUnsatisfiable: 'DoNotSchedule' }] })).toBe(false);
    expect(hasSoftPreferences(undefined)).toBe(false);
  });
});

describe('what a pod sends', () => {
  const egress = (annotations: Record<string, unknown>, requests: object = {}) => {
    const problems: string[] = [];
    const spec = { containers: [{ resources: { requests } }] };
    return { ...podEgress(spec, annotations, (problem) => problems.push(problem)), problems };
  };

  it('is said by an annotation, an extended resource, and bounded by its limit', () => {
    expect(egress({ 'netloom.io/egress-mbps': '8' })).toEqual({ requestBytesPerSecond: 1e6, problems: [] });
    expect(egress({}, { 'netloom.io/egress-mbps': '16' })).toMatchObject({ requestBytesPerSecond: 2e6 });
    expect(egress({ 'kubernetes.io/egress-bandwidth': '10M' })).toEqual({ limitBytesPerSecond: 1.25e6, problems: [] });
    expect(egress({})).toEqual({ problems: [] });
  });

  it('is not taken from what is no number, and that is told', () => {
    for (const bad of ['fast', '-1', '0', '']) {
      expect(egress({ 'netloom.io/egress-mbps': bad }).problems).toEqual([
        `annotation netloom.io/egress-mbps is ${JSON.stringify(bad)}, expected a number of Mbit/s above 0, up to 100000000`,
      ]);
    }
    expect(egress({}, { 'netloom.io/egress-mbps': '1e999' }).problems).toEqual([
      'resource netloom.io/egress-mbps is "1e999", expected a number of Mbit/s above 0, up to 100000000',
    ]);
    expect(egress({}, { 'netloom.io/egress-mbps': '0' }).problems).toEqual([]);
    expect(egress({ 'kubernetes.io/egress-bandwidth': '-5' }).problems).toEqual([
      'annotation kubernetes.io/egress-bandwidth is "-5", expected bits a second above 0, as 100M',
    ]);
  });

  it('has a link, if its node says how fast it is', () => {
    const node = (mbps: unknown) =>
      projectObject({ kind: 'Node', metadata: { name: 'n', annotations: { 'netloom.io/link-mbps': mbps } } });
    expect(node('1000')).toMatchObject({ record: { linkMbps: 1000 }, odd: undefined });
    expect(node('1G')).toMatchObject({ odd: expect.stringContaining('netloom.io/link-mbps is "1G"') as string });
  });
});

it.each([
  ['Pod', { tolerations: 'x' }, 'Pod shop/x: spec.tolerations is "x", expected a list'],
  ['Pod', { affinity: ['a'] }, 'Pod shop/x: spec.affinity is an array of 1, expected an object'],
  ['Pod', { nodeSelector: 'a=b' }, 'Pod shop/x: spec.nodeSelector is "a=b", expected an object'],
  [
    'Pod',
    { topologySpreadConstraints: { maxSkew: 1 } },
    'Pod shop/x: spec.topologySpreadConstraints is {maxSkew}, expected a list',
  ],
  ['Node', { taints: {} }, 'Node shop/x: spec.taints is {}, expected a list'],
  ['Pod', { tolerations: null, affinity: {}, nodeSelector: {}, containers: [] }, undefined],
])('a %s with %j: a field that decides on placement and has another form is told', (kind, spec, odd) => {
  const metadata = { name: 'x', namespace: 'shop', uid: 'u' };
  expect(projectObject({ kind, metadata, spec })).toMatchObject({ record: { name: 'x' }, odd });
});
