import { expect, test } from 'vitest';
import { parseArgs } from '../../scheduler/extender/args.ts';
import { prioritize } from '../../scheduler/extender/prioritize.ts';
import { placementSettings } from '../../scheduler/placement/index.ts';
import { buildView } from '../support/view-fixture.ts';

test('an answer that a plan led names the plan, its node, and what became of its other nodes', () => {
  const view = buildView({
    nodes: ['n1', 'n2', 'n3'].map((name) => ({ name, zone: name })),
    workloads: [{ key: 'shop/Pod/cart', replicas: 4, target: { n2: 2, n3: 1 } }],
    edges: [],
    planVersion: 9,
  });
  const body = { Pod: { metadata: { namespace: 'shop', name: 'cart', uid: 'u' } }, NodeNames: ['n1', 'n2'] };
  const parsed = parseArgs(Buffer.from(JSON.stringify(body)));
  if ('reason' in parsed) throw new Error(parsed.reason);
  const answer = prioritize(parsed.args.pod, Int32Array.of(0, 1), view, placementSettings());
  expect(answer.hosts[0]).toMatchObject({ Host: 'n2' });
  expect(answer).toMatchObject({
    planVersion: 9,
    plan: {
      version: 9,
      state: 'open',
      targets: [
        { node: 'n2', wanted: 2, placed: 0, state: 'open' },
        { node: 'n3', wanted: 1, placed: 0, state: 'no-candidate' },
      ],
    },
  });
});
