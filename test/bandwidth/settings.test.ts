import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBandwidth } from '../../bandwidth/contract/bandwidth.ts';
import { Settings, type AnnotatedPod } from '../../bandwidth/enforce/settings.ts';
import { ownerOf } from '../../bandwidth/enforce/slots.ts';
import { pod } from '../interfaces/fixture.ts';

const annotated = (uid: string, egress?: string, ingress?: string): AnnotatedPod => ({
  ...pod({ uid }),
  ...(egress === undefined ? {} : { egress }),
  ...(ingress === undefined ? {} : { ingress }),
});
const egressOf = (settings: Settings, uid = 'a'): bigint | undefined => settings.lastBps(uid, 'egress');

describe('the last valid setting', () => {
  it('stays while the annotation cannot be used, each direction for itself', () => {
    const settings = new Settings();
    settings.read([annotated('a', '8M', '16M')]);
    settings.read([annotated('a', 'much', '32M')]);
    settings.read([annotated('a', '63k', '')]);
    expect([settings.lastBps('a', 'egress'), settings.lastBps('a', 'ingress')]).toEqual([8_000_000n, 32_000_000n]);
  });

  it('goes with the annotation, and with the pod', () => {
    const settings = new Settings();
    settings.read([annotated('a', '8M')]);
    settings.read([annotated('a')]);
    settings.read([annotated('a', 'much')]);
    expect(egressOf(settings)).toBeUndefined();
    settings.read([annotated('a', '8M')]);
    settings.read([]);
    settings.read([annotated('a', 'much')]);
    expect(egressOf(settings)).toBeUndefined();
  });

  it('is what the agent before had in force, until something valid or nothing is asked for', () => {
    const left = new Map([
      [ownerOf('a', 'egress'), 8_000_000n],
      [ownerOf('b', 'egress'), 16_000_000n],
      [ownerOf('c', 'egress'), 0n],
      [ownerOf('d', 'egress'), 24_000_000n],
    ]);
    const settings = new Settings();
    settings.takeUp(left);
    settings.read([annotated('a', 'much'), annotated('b'), annotated('c', 'much'), annotated('d', '40M')]);
    expect(['a', 'b', 'c', 'd'].map((uid) => egressOf(settings, uid))).toEqual([
      8_000_000n,
      undefined,
      undefined,
      40_000_000n,
    ]);
    settings.read(['a', 'b', 'c', 'd'].map((uid) => annotated(uid, 'much')));
    expect(['a', 'b', 'c', 'd'].map((uid) => egressOf(settings, uid))).toEqual([
      8_000_000n,
      undefined,
      undefined,
      40_000_000n,
    ]);
  });

  it('is not forgotten when what an agent before left is taken up late', () => {
    const settings = new Settings();
    settings.read([annotated('a', '8M')]);
    settings.takeUp(new Map());
    settings.read([annotated('a', 'much')]);
    expect(egressOf(settings)).toBe(8_000_000n);
  });

  it('follows a plain model over any history', () => {
    const text = fc.constantFrom(undefined, '8M', '1G', 'much', '63k');
    fc.assert(
      fc.property(
        fc.option(fc.constant(5_000_000n), { nil: undefined }),
        fc.array(fc.option(text, { nil: null })),
        (left, history) => {
          const settings = new Settings();
          if (left !== undefined) settings.takeUp(new Map([[ownerOf('a', 'egress'), left]]));
          let last: bigint | undefined = left;
          let isThere = false;
          for (const egress of history) {
            settings.read(egress === null ? [] : [annotated('a', egress)]);
            if (egress === null) {
              // Who was not here yet may come with what the last agent left.
              if (isThere) last = undefined;
              continue;
            }
            const wish = parseBandwidth(egress);
            if (wish.kind === 'limit') last = wish.bps;
            if (wish.kind === 'none') last = undefined;
            isThere = true;
            expect(egressOf(settings)).toBe(last);
          }
        },
      ),
    );
  });
});

it('of pods with the same uid the last one counts', () => {
  const read = new Settings().read([annotated('a', '8M'), annotated('b', '8M'), annotated('a', '16M')]);
  expect(read.map(({ uid, wishes }) => [uid, wishes.egress])).toEqual([
    ['a', { kind: 'limit', bps: 16_000_000n }],
    ['b', { kind: 'limit', bps: 8_000_000n }],
  ]);
});
