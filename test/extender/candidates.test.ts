import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { candidateNames, parseArgs } from '../../scheduler/extender/args.ts';
import { parseCandidates } from '../../scheduler/extender/candidates.ts';
import { NameIndex } from '../../scheduler/extender/name-index.ts';
import { buildView } from '../support/view-fixture.ts';
import { CART_ARGS, CART_POD, SHOP } from './harness.ts';

const NAMES = ['n1', 'n2', 'a.b-c', '', 'ünï', 'with"quote', 'back\\slash', 'x'.repeat(300), '__proto__', 'n11'];
const { names } = buildView({
  ...SHOP,
  nodes: [...NAMES, 'n3', 'n4'].map((name) => ({ name })),
  workloads: [],
  edges: [],
  owners: {},
});

/** The plain reading: parse all, look up every name. */
function plainly(body: Buffer) {
  const parsed = parseArgs(body);
  if ('reason' in parsed) return parsed;
  const candidates = candidateNames(parsed.args).map((name) => names.nodeIndex.get(name) ?? -1);
  return { pod: parsed.args.pod, candidates };
}

function quickly(body: Buffer) {
  const parsed = parseCandidates(body, names);
  return 'reason' in parsed ? parsed : { pod: parsed.pod, candidates: [...parsed.candidates] };
}

const name = fc.oneof(
  fc.constantFrom(...NAMES, 'unknown'),
  fc.string({ maxLength: 6 }),
  fc.constant('"NodeNames":["n1"]}'),
);
const list = fc.oneof(
  fc.array(name, { maxLength: 6 }),
  fc.constant(null),
  fc.array(fc.oneof(name, fc.constant(null)), { maxLength: 3 }),
);

describe('names read where they lie are the names that parsing gives', () => {
  test('for requests as kube-scheduler writes them', () => {
    fc.assert(
      fc.property(list, (NodeNames) => {
        const body = Buffer.from(JSON.stringify({ Pod: CART_POD, Nodes: null, NodeNames }));
        expect(quickly(body)).toEqual(plainly(body));
      }),
      { numRuns: 2000 },
    );
  });

  test('for whatever stands around them', () => {
    const key = fc.constantFrom('Pod', 'NodeNames', 'nodenames', 'Nodes', 'x', 'NodeNames":["n2"],"y');
    const value = fc.oneof(
      list,
      fc.constantFrom<unknown>(
        {},
        CART_POD,
        { NodeNames: ['n2'] },
        '"NodeNames":["n1"]}',
        { items: [{ metadata: { name: 'n4' } }] },
        7,
      ),
    );
    const object = fc
      .array(fc.tuple(key, value), { maxLength: 5 })
      .map((pairs) => `{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`);
    const piece = fc.constantFrom(
      '{"Pod":{}',
      ',"NodeNames":',
      '"NodeNames":["n1"]',
      '["n1","n2"]',
      '}',
      ' ',
      '\n',
      '"',
      '\\',
      '{"Pod":{"a":"',
      ',',
      'null',
    );
    const text = fc.oneof(
      object,
      fc.tuple(object, fc.constantFrom('', ' ', '\n', '}', 'x', '\u00a0')).map((parts) => parts.join('')),
      fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join('')),
    );
    let read = 0;
    fc.assert(
      fc.property(text, (body) => {
        const result = plainly(Buffer.from(body));
        if (!('reason' in result)) read++;
        expect(quickly(Buffer.from(body))).toEqual(result);
      }),
      { numRuns: 20_000, seed: 3 },
    );
    expect(read).toBeGreaterThan(300);
  });

  test.each([
    '{"Pod":{},"NodeNames":["n1","n2"]}\n',
    '{"Pod":{},"NodeNames":[]}',
    '{"Pod":{},"NodeNames":["n1" ]}',
    '{"Pod":{},"NodeNames":["n1",]}',
    '{"Pod":{},"NodeNames":["n1"',
    '{"Pod":{},"NodeNames":["n1"]',
    '{"Pod":{},"NodeNames":["n1',
    '{"Pod":{},"NodeNames":[',
    '{"Pod":{},"NodeNames":',
    '{"Pod":{},"NodeNames":["n1"]}}',
    '{"Pod":{},"NodeNames":["n1"]} {}',
    '{"Pod":{"NodeNames":["n1"]}',
    '{"Pod":{},"x":{"NodeNames":["n1"]}}',
    '{"Pod":{},"x":"\\"NodeNames":["n1"]}',
    '{"Pod":{},"x":"\\"NodeNames\\":[\\"n1\\"]}"}',
    '[{"Pod":{},"NodeNames":["n1"]}]',
    '{"Pod":{},"NodeNames":["n2"],"NodeNames":["n1"]}',
    '{"NodeNames":["n1"],"Pod":{}}',
    '{"Pod":{},"Nodes":{"items":[{"metadata":{"name":"n4"}}]},"NodeNames":["n1"]}',
    '{"Pod":null,"NodeNames":["n1"]}',
    '{"Pod":{},"NodeNames":["\\u006e1"]}',
    '{"Pod":{},"NodeNames":["ünï","n1"]}',
  ])('%s', (body) => expect(quickly(Buffer.from(body))).toEqual(plainly(Buffer.from(body))));
});

test('names are found while the index is still filling, when the table grows, and whichever share a hash slot', () => {
  const table = Array.from({ length: 7_000 }, (_, i) => `node-${(i * 7919) % 100_003}`);
  const textIndex = new Map(table.map((text, i) => [text, i]));
  const index = new NameIndex(table);
  const asked = Buffer.from(JSON.stringify([...table, 'node-', 'node-x']));
  const expected = [...table.keys(), -1, -1];
  for (const count of [0, 1, 500, 3_000, 10_000]) {
    index.enter(count);
    expect([...index.resolve(asked, 0, textIndex)!.found]).toEqual(expected);
  }
  table.push('later');
  textIndex.set('later', 7_000);
  // What follows what is only a guess: other orders, and parts of names, are found all the same.
  const shuffled = [...table.keys()].sort((a, b) => ((a * 31) % 97) - ((b * 31) % 97));
  const others = Buffer.from(JSON.stringify(shuffled.flatMap((n) => [table[n]!, `${table[n]!}0000`])));
  const found = [...index.resolve(others, 0, textIndex)!.found];
  expect(found.filter((_, i) => i % 2 === 0)).toEqual(shuffled);
  const later = Buffer.from('["later","node-0"]');
  expect([...index.resolve(later, 0, textIndex)!.found]).toEqual([7_000, 0]);
  index.enter(10);
  expect([...index.resolve(later, 0, new Map())!.found]).toEqual([7_000, 0]);
});

test('a request of kube-scheduler takes the quick way', () => {
  // With the Map away only the index by bytes can find them, once it is filled.
  const body = Buffer.from(JSON.stringify(CART_ARGS));
  quickly(body);
  const parsed = parseCandidates(body, { ...names, nodeIndex: new Map() });
  if ('reason' in parsed) throw new Error(parsed.reason);
  expect([...parsed.candidates]).toEqual(['n1', 'n2', 'n3', 'n4'].map((n) => names.nodeIndex.get(n)));
});
