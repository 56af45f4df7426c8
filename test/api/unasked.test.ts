import { expect, test } from 'vitest';
import { unaskedLines } from '../../cli/unasked-text.ts';
import { unaskedOf, type UnaskedReason } from '../../scheduler/api/unasked.ts';
import type { NodeRecord, PodRecord } from '../../scheduler/cluster/model.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import type { Outcome } from '../../scheduler/process/bound-pods.ts';

const node = (name: string, spec: object = {}): NodeRecord =>
  record({ kind: 'Node', metadata: { name, labels: { host: name } }, spec }) as NodeRecord;
const pod = (spec: object = {}, metadata: object = {}): PodRecord =>
  record({ kind: 'Pod', metadata: { name: 'p', namespace: 'shop', ...metadata }, spec }) as PodRecord;

function record(object: object): unknown {
  const projected = projectObject({ apiVersion: 'v1', ...object });
  if (projected.outcome !== 'record') throw new Error(projected.outcome);
  return projected.record;
}

const owner = (kind: string) => ({ ownerReferences: [{ kind, name: 'o', uid: 'u', controller: true }] });
const NODES = [node('n1'), node('n2'), node('n3', { unschedulable: true })];
const ON = { nodeName: 'n1' };

test.each<[UnaskedReason, PodRecord, Outcome | undefined, RegExp]>([
  ['static', pod(ON, { annotations: { 'kubernetes.io/config.mirror': 'x' } }), 'given', /static pod/],
  ['daemon', pod(ON, owner('DaemonSet')), undefined, /DaemonSet.*does not ask/],
  ['pending', pod(), undefined, /has not asked about it yet/],
  ['given', pod(ON), 'given', /did not ask.*spec\.nodeName/],
  ['one-node', pod({ ...ON, nodeSelector: { host: 'n1' } }), 'not_asked', /did not ask.*fits on n1 only/],
  ['one-node', pod({ ...ON, nodeSelector: { host: 'n1' } }), 'never_asked', /did not ask.*fits on n1 only/],
  ['not-asked', pod(ON), 'not_asked', /did not ask.*though it did about others/],
  ['never-asked', pod(ON), 'never_asked', /did not ask.*nor about others.*managedResources/],
  ['late', pod(ON), 'late', /did not wait/],
  ['settling', pod(ON), 'settling', /just now/],
  ['forgotten', pod(ON), 'followed', /not kept/],
  ['unknown', pod(ON), undefined, /not known/],
])('of a pod without an answer it is said why: %s', (reason, of, outcome, text) => {
  const unasked = unaskedOf(of, NODES, () => outcome);
  expect(unasked).toEqual({ reason, scheduler: undefined });
  expect(unaskedLines(unasked, of.node).join(' ')).toMatch(text);
});

test('of a file it is said that it does not tell, and of another scheduler which one it is', () => {
  const file = unaskedOf(pod({ ...ON, schedulerName: 'netloom' }), NODES, undefined);
  expect(file).toEqual({ reason: 'file', scheduler: 'netloom' });
  expect(unaskedLines(file, 'n1')).toEqual([
    'kube-scheduler has not asked about it. The cluster state is a file, which does not tell why it is on n1.',
    'Its scheduler is "netloom" (spec.schedulerName): only if that one has our entry it can ask.',
  ]);
  expect(unaskedOf(pod({ ...ON, schedulerName: 'default-scheduler' }), NODES, undefined).scheduler).toBeUndefined();
});
