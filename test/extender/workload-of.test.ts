import { expect, test } from 'vitest';
import { parseArgs } from '../../scheduler/extender/args.ts';
import { workloadOf } from '../../scheduler/extender/workload-of.ts';
import { buildView } from '../support/view-fixture.ts';
import { podOf, SHOP } from './harness.ts';

const { names } = buildView(SHOP);

function of(pod: object) {
  const parsed = parseArgs(Buffer.from(JSON.stringify({ Pod: pod })));
  if ('reason' in parsed) throw new Error(parsed.reason);
  return workloadOf(names, parsed.args.pod);
}
const known = (key: string) => ({ key, index: names.workloadIndex.get(key), onePerNode: false });
const unknown = (key: string) => ({ key, index: undefined, onePerNode: false });

test('the owner of a known ReplicaSet', () => {
  expect(of(podOf('ReplicaSet', 'cart-abc'))).toEqual(known('shop/Deployment/cart'));
});
test('the Deployment of a ReplicaSet that is younger than the view, by the pod-template-hash', () => {
  const labels = { 'pod-template-hash': '5d4f8c7b9' };
  expect(of(podOf('ReplicaSet', 'cart-5d4f8c7b9', { labels }))).toEqual(known('shop/Deployment/cart'));
  expect(of(podOf('ReplicaSet', 'other-5d4f8c7b9', { labels }))).toEqual(unknown('shop/ReplicaSet/other-5d4f8c7b9'));
  expect(of(podOf('ReplicaSet', 'cart-else', { labels }))).toEqual(unknown('shop/ReplicaSet/cart-else'));
  expect(of(podOf('ReplicaSet', 'cart-', { labels: { 'pod-template-hash': '' } }))).toEqual(
    unknown('shop/ReplicaSet/cart-'),
  );
});
test('the CronJob of a Job that is younger than the view', () => {
  expect(of(podOf('Job', 'report-29384756'))).toEqual(known('shop/CronJob/report'));
  expect(of(podOf('Job', 'report-2'))).toEqual(unknown('shop/Job/report-2'));
});
test('a pod without owner is its own workload', () => {
  expect(of({ metadata: { namespace: 'shop', name: 'solo' } })).toEqual(known('shop/Pod/solo'));
  expect(of({ metadata: { namespace: 'shop', name: 'new' } })).toEqual(unknown('shop/Pod/new'));
});
test('an owner in another namespace is another owner', () => {
  expect(of(podOf('ReplicaSet', 'cart-abc', { namespace: 'test' }))).toEqual(unknown('test/ReplicaSet/cart-abc'));
});
test('DaemonSet and static pods stand where they must', () => {
  expect(of(podOf('DaemonSet', 'agent')).onePerNode).toBe(true);
  expect(of(podOf('Node', 'n1')).onePerNode).toBe(true);
  const annotations = { 'kubernetes.io/config.mirror': 'hash' };
  expect(of({ metadata: { namespace: 'shop', name: 'solo', annotations } })).toMatchObject({
    index: undefined,
    onePerNode: true,
  });
});
