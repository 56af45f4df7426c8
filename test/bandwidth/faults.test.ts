import { describe, expect, it } from 'vitest';
import { standingsWith } from '../../bandwidth/enforce/faults.ts';
import type { Fault } from '../../bandwidth/enforce/types.ts';
import { decided, told, view, type DecideSpec } from './decide-fixture.ts';

const spec: DecideSpec = {
  pods: [
    { name: 'a', at: [10, 11], egress: '8M', ingress: '8M' },
    { name: 'b', at: [12], egress: '8M' },
    { name: 'c', at: [13] },
  ],
};

function after(faults: readonly Fault[], lasting: readonly string[] = [], given = spec): string[] {
  const desired = decided(given);
  const standings = standingsWith(desired, view(given), faults, new Set(lasting));
  return told({ ...desired, standings }).filter((text) => text.includes('it failed'));
}

const text = 'it failed';

describe('what could not be done', () => {
  it('takes the state from those that stand on it', () => {
    expect(after([{ ifindex: 10, part: 'from_pod', text }])).toEqual(['a egress: pending at 8000000 (it failed)']);
    expect(after([{ ifindex: 11, part: 'to_pod', text }])).toEqual(['a ingress: pending at 8000000 (it failed)']);
    expect(after([{ ifindex: 11, part: 'qdisc', text }])).toEqual(['a ingress: pending at 8000000 (it failed)']);
    for (const part of ['leave', 'qdisc'] as const) {
      expect(after([{ ifindex: 2, part, text }])).toEqual([
        'a egress: pending at 8000000 (it failed)',
        'b egress: pending at 8000000 (it failed)',
      ]);
    }
  });

  it('and still could not be the second time is not supported', () => {
    expect(after([{ ifindex: 10, part: 'from_pod', text }], [text])).toEqual([
      'a egress: unsupported at 8000000 (it failed)',
    ]);
    expect(after([{ ifindex: 10, part: 'from_pod', text }], ['something else'])).toEqual([
      'a egress: pending at 8000000 (it failed)',
    ]);
  });

  it('is nothing to pods without a limit, and what could not be taken away to none', () => {
    expect(after([{ ifindex: 13, part: 'from_pod', text }])).toEqual([]);
    expect(after([{ ifindex: 10, text }])).toEqual([]);
    expect(after([{ ifindex: 99, part: 'qdisc', text }])).toEqual([]);
  });

  it('at a qdisc is nothing to those that need none', () => {
    expect(after([{ ifindex: 2, part: 'qdisc', text }], [], { ...spec, uplinks: ['pfifo'] })).toEqual([]);
    expect(after([{ ifindex: 10, part: 'qdisc', text }], [], { ...spec, purpose: 'shadow' })).toEqual([]);
  });

  it('is told behind what else there is to say', () => {
    const given: DecideSpec = { pods: [{ name: 'a', at: [10], egress: 'much' }], last: { 'a egress': 8_000_000n } };
    expect(after([{ ifindex: 2, part: 'leave', text }], [], given)).toEqual([
      'a egress: pending at 8000000 ("much" is no quantity; expected bits a second, as 10M; the last valid limit stays; it failed)',
    ]);
  });
});
