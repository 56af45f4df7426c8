import fc from 'fast-check';
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { buildView } from '../support/view-fixture.ts';
import { CART_ANSWER, CART_ARGS, NODE_NAMES, post, SHOP, start } from './harness.ts';

const BODIES = 100_000;
const LANES = 8;
const PIPELINED = 32;

interface Case {
  readonly path: string;
  readonly body: Buffer;
}

const NASTY_TEXT = fc.oneof(
  fc.constantFrom(
    '',
    '__proto__',
    'constructor',
    'n1',
    'shop',
    '\ud800',
    '\udfff\ud800',
    '\u0000',
    '\u2028',
    '💥',
    '../..',
    'NaN',
    '-0',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
);
const NASTY_KEY = fc.oneof(
  fc.constantFrom(
    'Pod',
    'pod',
    'POD',
    'Nodes',
    'NodeNames',
    'nodenames',
    'metadata',
    'Metadata',
    'items',
    'name',
    'namespace',
    'uid',
  ),
  fc.constantFrom(
    'ownerReferences',
    'controller',
    'kind',
    'labels',
    'pod-template-hash',
    'annotations',
    '__proto__',
    'toString',
    'length',
  ),
  NASTY_TEXT,
);
const SCALAR = fc.oneof(
  fc.constantFrom(null, true, false, 0, -1, 1e308, 2 ** 53 + 1, 'ReplicaSet', 'cart-abc'),
  fc.double({ noNaN: true }),
  NASTY_TEXT,
);
const { anything } = fc.letrec<{ anything: unknown }>((tie) => ({
  anything: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    SCALAR,
    fc.array(tie('anything'), { maxLength: 4 }),
    fc.array(fc.tuple(NASTY_KEY, tie('anything')), { maxLength: 5 }).map(Object.fromEntries),
  ),
}));

/** Shapes close to ExtenderArgs, of which any part may be anything. */
const POD = fc.record(
  {
    metadata: fc.oneof(
      anything,
      fc.record(
        {
          name: fc.oneof(NASTY_TEXT, anything),
          namespace: fc.oneof(fc.constant('shop'), anything),
          uid: fc.oneof(NASTY_TEXT, anything),
          labels: anything,
          annotations: anything,
          ownerReferences: fc.oneof(
            anything,
            fc.array(
              fc.oneof(
                anything,
                fc.record({ kind: fc.constantFrom('ReplicaSet', 'Job', 'Node'), name: NASTY_TEXT, controller: SCALAR }),
              ),
              { maxLength: 3 },
            ),
          ),
        },
        { requiredKeys: [] },
      ),
    ),
    spec: anything,
  },
  { requiredKeys: [] },
);
const ALMOST = fc
  .record(
    {
      Pod: fc.oneof(anything, POD, POD),
      Nodes: fc.oneof(fc.constant(null), anything, fc.record({ items: fc.array(anything, { maxLength: 3 }) })),
      NodeNames: fc.oneof(fc.constant(null), anything, fc.array(fc.oneof(NASTY_TEXT, SCALAR), { maxLength: 5 })),
    },
    { requiredKeys: [] },
  )
  .map((value) => Buffer.from(JSON.stringify(value)));

/** A good body with a few bytes changed, cut, doubled or put in. */
const GOOD = Buffer.from(JSON.stringify(CART_ARGS));
const MUTATED = fc
  .array(fc.record({ at: fc.nat(GOOD.length), how: fc.nat(3), byte: fc.nat(255) }), { minLength: 1, maxLength: 6 })
  .map((edits) =>
    edits.reduce((bytes: Buffer, { at, how, byte }) => {
      const i = Math.min(at, bytes.length);
      if (how === 0) return bytes.subarray(0, i);
      if (how === 1) return Buffer.concat([bytes.subarray(0, i), Buffer.from([byte]), bytes.subarray(i)]);
      if (how === 2) return Buffer.concat([bytes.subarray(0, i), bytes.subarray(i / 2)]);
      return Buffer.concat([bytes.subarray(0, i), Buffer.from([byte]), bytes.subarray(i + 1)]);
    }, GOOD),
  );
const CRAFTED = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.constantFrom('[', '{"a":', '{"Pod":', '"', '\\u', '[[],', '1e', '-'), fc.nat(3_000))
    .map(([unit, n]) => Buffer.from(unit.repeat(n))),
  fc.nat(2_000).map((n) => Buffer.from(`{"Pod":${'{"metadata":'.repeat(n)}1${'}'.repeat(n)}}`)),
  fc
    .constantFrom(
      'NaN',
      'Infinity',
      "{'Pod':{}}",
      '{"Pod":{},}',
      '{"Pod":{}}{}',
      '\ufeff{}',
      '{"Pod":{},"NodeNames":[,]}',
    )
    .map((text) => Buffer.from(text)),
);
const CASES: fc.Arbitrary<Case> = fc.record({
  path: fc.constantFrom('/prioritize', '/prioritize', '/filter'),
  body: fc.oneof(
    { weight: 4, arbitrary: ALMOST },
    { weight: 3, arbitrary: MUTATED },
    { weight: 2, arbitrary: CRAFTED },
  ),
});

/** Sends the requests on one connection, all at once, and gives status and body of the replies. */
function exchange(socket: Socket, cases: readonly Case[]): Promise<{ status: number; body: string }[]> {
  return new Promise((resolve, reject) => {
    const replies: { status: number; body: string }[] = [];
    let pending: Buffer = Buffer.alloc(0);
    const fail = () => reject(new Error(`the connection ended after ${replies.length} of ${cases.length} replies`));
    const onData = (chunk: Buffer) => {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
      for (;;) {
        const end = pending.indexOf('\r\n\r\n');
        if (end < 0) break;
        const head = pending.subarray(0, end).toString('latin1');
        const length = Number(/content-length: (\d+)/i.exec(head)![1]);
        if (pending.length < end + 4 + length) break;
        replies.push({
          status: Number(head.slice(9, 12)),
          body: pending.subarray(end + 4, end + 4 + length).toString(),
        });
        pending = pending.subarray(end + 4 + length);
      }
      if (replies.length < cases.length) return;
      socket.off('data', onData).off('close', fail);
      resolve(replies);
    };
    socket.on('data', onData).on('close', fail);
    socket.write(
      Buffer.concat(
        cases.flatMap(({ path, body }) => [
          Buffer.from(
            `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
          ),
          body,
        ]),
      ),
    );
  });
}

test(
  `${BODIES} generated bad bodies: no crash, no leak, documented statuses, nothing changed`,
  { timeout: 300_000 },
  async () => {
    const view = buildView(SHOP);
    const before = JSON.stringify(view, (_, value: unknown) => (value instanceof Map ? [...value.entries()] : value));
    const { port, metric } = await start({}, {}, view);
    const sockets = await Promise.all(
      Array.from(
        { length: LANES },
        () =>
          new Promise<Socket>((resolve) => {
            const socket = connect(port, '127.0.0.1', () => resolve(socket)).on('error', () => undefined);
            onTestFinished(() => void socket.destroy());
          }),
      ),
    );

    const seed = 20261124;
    const counts = new Map<number, number>();
    const memory: number[] = [];
    let next = 0;
    const round = LANES * PIPELINED;
    while (next < BODIES) {
      const cases = fc.sample(CASES, { numRuns: round, seed: seed + next });
      next += round;
      await Promise.all(
        sockets.map(async (socket, lane) => {
          const mine = cases.slice(lane * PIPELINED, (lane + 1) * PIPELINED);
          const replies = await exchange(socket, mine);
          replies.forEach(({ status, body }, i) => {
            counts.set(status, (counts.get(status) ?? 0) + 1);
            if (status === 400) expect((JSON.parse(body) as { error: string }).error.length).toBeLessThan(500);
            else checkAnswer(mine[i]!, body);
          });
        }),
      );
      if (next % (round * 40) === 0) {
        globalThis.gc?.();
        memory.push(process.memoryUsage().rss);
      }
    }

    expect(new Set(counts.keys())).toEqual(new Set([200, 400]));
    expect(counts.get(400)).toBeGreaterThan(BODIES / 3);
    expect(counts.get(200)).toBeGreaterThan(BODIES / 50);
    // The same connections served it all, and nothing was an internal fault.
    expect(await metric('netloom_extender_connections')).toBe(LANES);
    for (const verb of ['prioritize', 'filter']) {
      expect(await metric('netloom_extender_requests_total', { verb, outcome: 'fault' })).toBe(0);
    }
    expect(JSON.parse((await post(port, '/prioritize', CART_ARGS)).text)).toEqual(CART_ANSWER);
    expect(JSON.stringify(view, (_, value: unknown) => (value instanceof Map ? [...value.entries()] : value))).toBe(
      before,
    );
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    const growth = memory.at(-1)! - memory[Math.floor(memory.length / 4)]!;
    expect(growth, `RSS in MB: ${memory.map((bytes) => bytes >> 20).join(' ')}`).toBeLessThan(120 * 1024 * 1024);
  },
);

function checkAnswer({ path, body }: Case, text: string): void {
  const answer = JSON.parse(text) as unknown;
  if (path === '/prioritize') {
    for (const { Host, Score } of answer as { Host: string; Score: number }[]) {
      expect(NODE_NAMES).toContain(Host);
      expect(Number.isInteger(Score) && Score > 0 && Score <= 80).toBe(true);
    }
    return;
  }
  const { Nodes, NodeNames } = answer as { Nodes: unknown; NodeNames: unknown };
  expect(Array.isArray(NodeNames) !== (typeof Nodes === 'object' && Nodes !== null), body.toString()).toBe(true);
}
