import { expect, test } from 'vitest';
import { silentLogger } from '../../lib/log.ts';
import type { ClusterEvent } from '../../scheduler/cluster/model.ts';
import { projectObject } from '../../scheduler/cluster/project.ts';
import { PeerHintCheck } from '../../scheduler/process/peer-hint-check.ts';

function pod(name: string, peers: string): ClusterEvent {
  const metadata = { namespace: 'shop', name, uid: name, annotations: { 'netloom.io/peers': peers } };
  const projection = projectObject({ kind: 'Pod', metadata, spec: {} });
  if (projection.outcome !== 'record') throw new Error('no pod');
  return { op: 'upsert', record: projection.record };
}

test('an annotation that cannot be used is told once, in the log and to its owner, and listed', () => {
  const told: string[] = [];
  const logged: unknown[] = [];
  const check = new PeerHintCheck({
    exists: (_, name) => name === 'cart',
    tell: ({ name }, message) => told.push(`${name}: ${message}`),
    logger: { ...silentLogger, warn: (message, fields) => logged.push([message, fields]) },
  });
  const bad = 'shop/cart=1Mi/s, db=2';
  check.changes([pod('web-1', bad), pod('web-2', bad), pod('ok', 'shop/cart=1'), pod('lost', 'shop/gone=1')]);
  check.changes([pod('web-1', bad)]);
  const problem = '"db=2": expected namespace/name=RATE';
  expect(told).toEqual([`web-1: Annotation netloom.io/peers cannot be used: ${problem}`]);
  expect(logged).toEqual([['annotation netloom.io/peers cannot be used', { of: 'shop/web-1', problems: [problem] }]]);
  expect(check.problems()).toEqual([
    {
      what: 'annotations netloom.io/peers cannot be used in part or whole',
      count: 1,
      sample: `shop/web-1: ${problem}`,
    },
    { what: 'annotations netloom.io/peers name what is not in the cluster', count: 1, sample: 'shop/lost: shop/gone' },
  ]);
});
