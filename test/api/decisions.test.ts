import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Decisions } from '../../scheduler/api/decisions.ts';
import { askedNodes, type Answer } from '../../scheduler/extender/decision.ts';

const NODES = ['a1', 'a2', 'b1', 'b2', 'c1', 'c2'];
const VIEW = { names: { nodes: NODES }, builtAtMs: 100 };
const indexOf = (node: string, builtAtMs: number): number | undefined => {
  const index = NODES.indexOf(node);
  return builtAtMs < 100 || index < 0 ? undefined : index;
};

let clock = 0;

function answer(uid: string, candidates: string[], best?: string, view = VIEW): Answer {
  const decision = {
    atMs: ++clock,
    podUid: uid,
    namespace: 'shop',
    name: `pod-${uid}`,
    workload: 'shop/Deployment/cart',
    candidates: candidates.length,
    silence: best === undefined ? ('no-difference' as const) : undefined,
    top: best === undefined ? [] : [{ Host: best, Score: 50 }],
    named: best === undefined ? 0 : 1,
    viewVersion: 1,
    durationMicros: 10,
  };
  const indices = Int32Array.from(candidates, (name) => view.names.nodes.indexOf(name));
  return { decision, asked: askedNodes(indices, view) };
}

describe('of the answers about a pod', () => {
  test('the newest one counts while it is pending', () => {
    const decisions = new Decisions(indexOf);
    decisions.add(answer('1', ['a1', 'a2'], 'a1'));
    decisions.add(answer('1', ['b1', 'b2'], 'b2'));
    const answers = decisions.ofUid('1', undefined);
    expect(answers).toMatchObject({ asked: 2, decision: { top: [{ Host: 'b2', Score: 50 }] } });
    expect(decisions.ofName('shop', 'pod-1')).toEqual(answers);
    expect(decisions.ofUid('2', undefined)).toBeUndefined();
  });

  test.each([
    ['a2', 'a1'],
    ['b1', 'b2'],
    ['c1', undefined],
  ])('the newest one that %s was a candidate of counts when it stands there', (node, best) => {
    const decisions = new Decisions(indexOf);
    decisions.add(answer('1', ['a1', 'a2'], 'a2'));
    for (const [candidates, named] of [
      [['a1', 'a2'], 'a1'],
      [['b1', 'b2'], 'b2'],
      [['c1', 'c2'], undefined],
    ] as const) {
      decisions.add(answer('1', [...candidates], named));
    }
    const { asked, decision } = decisions.ofUid('1', node)!;
    expect(asked).toBe(4);
    expect(decision!.top[0]?.Host).toBe(best);
    expect(decision!.candidates).toBe(2);
    decisions.settle('1', node);
    expect(decisions.ofUid('1', undefined)).toMatchObject({ asked: 4, node, decision });
  });

  test('one that came too late counts no more', () => {
    const decisions = new Decisions(indexOf);
    decisions.add(answer('1', ['a1', 'a2'], 'a1'));
    decisions.add(answer('2', ['b1', 'b2'], 'b1'));
    decisions.withdraw('1');
    decisions.withdraw('unknown');
    expect(decisions.ofUid('1', 'a1')).toMatchObject({ asked: 1, decision: undefined });
    expect(decisions.size).toBe(1);
    decisions.settle('1', 'a1');
    expect(decisions.ofUid('2', 'b1')!.decision!.top[0]!.Host).toBe('b1');
  });

  test('none counts when the node was in none', () => {
    const decisions = new Decisions(indexOf);
    decisions.add(answer('1', ['a1', 'a2'], 'a1'));
    expect(decisions.ofUid('1', 'b1')).toMatchObject({ asked: 1, decision: undefined });
    expect(decisions.ofUid('1', 'not-known')).toMatchObject({ asked: 1, decision: undefined });
    decisions.settle('1', 'b1');
    expect(decisions.size).toBe(0);
    expect(decisions.ofUid('1', 'b1')).toMatchObject({ asked: 1, decision: undefined });
  });

  test('one that comes after the pod was placed counts if it is about the node', () => {
    const decisions = new Decisions(indexOf);
    decisions.add(answer('1', ['a1', 'a2'], 'a1'));
    expect(decisions.isOpen('1')).toBe(true);
    decisions.settle('1', 'b1');
    expect(decisions.isOpen('1')).toBe(false);
    decisions.add(answer('1', ['c1', 'c2'], 'c1'));
    expect(decisions.ofUid('1', 'b1')!.decision).toBeUndefined();
    decisions.add(answer('1', ['b1', 'b2'], 'b2'));
    expect(decisions.ofUid('1', 'b1')!.decision!.top[0]!.Host).toBe('b2');
  });

  test('one whose name table is no longer known counts by the nodes that it named', () => {
    const decisions = new Decisions(indexOf);
    decisions.add(answer('1', ['a1', 'a2'], 'a1', { ...VIEW, builtAtMs: 50 }));
    expect(decisions.ofUid('1', 'a1')!.decision).toBeDefined();
    expect(decisions.ofUid('1', 'a2')!.decision).toBeUndefined();
  });
});

describe('what is kept is bounded', () => {
  test('the same question again takes no more room, also when the cluster has grown in between', () => {
    const decisions = new Decisions(indexOf);
    const later = { names: { nodes: [...NODES, ...Array.from({ length: 20 }, (_, i) => `d${i}`)] }, builtAtMs: 200 };
    for (let i = 0; i < 10; i++) decisions.add(answer('1', ['a1', 'b1'], 'a1'));
    for (let i = 0; i < 10; i++) decisions.add(answer('1', ['a1', 'b1'], 'b1', later));
    expect(decisions.size).toBe(1);
    expect(decisions.ofUid('1', undefined)).toMatchObject({ asked: 20, decision: { top: [{ Host: 'b1' }] } });
    decisions.add(answer('1', ['a1', 'd19'], 'd19', later));
    expect(decisions.size).toBe(2);
    expect(decisions.forgotten).toBe(0);
  });

  test('a placed pod keeps one answer', () => {
    const decisions = new Decisions(indexOf);
    for (const node of NODES) decisions.add(answer('1', [node], node));
    expect(decisions.size).toBe(6);
    decisions.settle('1', 'c1');
    expect(decisions.size).toBe(1);
  });

  test('whatever comes, no limit is passed, and what had to go is counted', () => {
    const uid = fc.integer({ min: 0, max: 9 }).map(String);
    const question = fc.record({ uid, candidates: fc.subarray(NODES, { minLength: 1 }), settle: fc.boolean() });
    fc.assert(
      fc.property(fc.array(question, { maxLength: 80 }), (questions) => {
        const decisions = new Decisions(indexOf, { pods: 4, answers: 6, answersPerPod: 3 });
        const asked = new Map<string, number>();
        for (const { uid: pod, candidates, settle } of questions) {
          decisions.add(answer(pod, candidates, candidates[0]));
          asked.set(pod, (asked.get(pod) ?? 0) + 1);
          if (settle) decisions.settle(pod, candidates[0]!);
          const known = [...asked.keys()].flatMap((key) => decisions.ofName('shop', `pod-${key}`) ?? []);
          expect(known.length).toBeLessThanOrEqual(4);
          expect(decisions.size).toBeLessThanOrEqual(6);
          for (const each of known) expect(each.asked).toBeLessThanOrEqual(asked.get(each.uid)!);
          // The pod that was asked about just now is always known.
          expect(known.some((each) => each.uid === pod)).toBe(true);
        }
      }),
    );
    const decisions = new Decisions(indexOf, { pods: 2, answers: 100, answersPerPod: 2 });
    for (const pod of ['1', '2', '3']) for (const node of ['a1', 'b1', 'c1']) decisions.add(answer(pod, [node], node));
    expect(decisions.size).toBe(4);
    expect(decisions.forgotten).toBe(3 + 2);
    expect(decisions.ofUid('1', undefined)).toBeUndefined();
    expect(decisions.ofName('shop', 'pod-1')).toBeUndefined();
    expect(decisions.ofUid('3', 'a1')).toMatchObject({ asked: 3, decision: undefined });
  });
});
