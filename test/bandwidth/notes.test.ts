import { describe, expect, it } from 'vitest';
import type { Standing } from '../../bandwidth/enforce/types.ts';
import { noteOf } from '../../bandwidth/status/notes.ts';
import { wishingPod, type PodSpec } from './decide-fixture.ts';

const note = (standing: Partial<Standing>, spec: Partial<PodSpec> = { egress: '8M' }): string | undefined => {
  const of = noteOf(wishingPod({ name: 'a', ...spec }), 'egress', {
    state: 'enforced',
    reason: '',
    bps: 8_000_000n,
    ...standing,
  });
  return of === undefined ? undefined : `${of.type} ${of.reason} ${of.message}`;
};
const KEY = 'kubernetes.io/egress-bandwidth';

describe('the Event on a pod', () => {
  it.each<[Partial<Standing>, string | undefined]>([
    [{ state: 'enforced' }, `Normal BandwidthLimited ${KEY}: held to 8 Mbit/s.`],
    [{ state: 'shaped-htb', bps: 8_500_000n }, `Normal BandwidthLimited ${KEY}: held to 8500 kbit/s.`],
    [{ state: 'shaped-htb', bps: 8_500_001n }, `Normal BandwidthLimited ${KEY}: held to 8500001 bit/s.`],
    [
      { state: 'shaped-htb', inPart: true, reason: 'held only where it leaves by eth0; bypassed by policy' },
      `Warning BandwidthInPart ${KEY}: held to 8 Mbit/s in part: held only where it leaves by eth0; bypassed by policy.`,
    ],
    [
      { state: 'policed', reason: "tbf 7: is another's", bps: 10n ** 15n },
      `Warning BandwidthPoliced ${KEY}: what exceeds 1000 Tbit/s is dropped, not delayed: tbf 7: is another's.`,
    ],
    [
      { state: 'policed', inPart: true, reason: "enforced at eth0, policed at eth1: tbf 7: at root is another's" },
      `Warning BandwidthPoliced ${KEY}: what exceeds 8 Mbit/s is dropped on some ways, and delayed on others: ` +
        "enforced at eth0, policed at eth1: tbf 7: at root is another's.",
    ],
    [
      { state: 'unsupported', reason: 'bypassed by policy (tcx ingress of veth1)' },
      `Warning BandwidthUnsupported ${KEY} is not enforced: bypassed by policy (tcx ingress of veth1).`,
    ],
    [{ state: 'pending', reason: 'it has no address yet' }, undefined],
    [{ state: 'shadow' }, undefined],
    [{ state: 'dry-run' }, undefined],
  ])('%o', (standing, expected) => {
    expect(note(standing)).toBe(expected);
  });

  it('says what is wrong with the annotation, whatever the state', () => {
    const problem = '"much" is no quantity; expected bits a second, as 10M';
    const kept = `${problem}; the last valid limit stays`;
    for (const state of ['shaped-htb', 'policed', 'shadow', 'dry-run'] as const) {
      expect(note({ state, reason: kept }, { egress: 'much' })).toBe(`Warning BandwidthInvalid ${KEY}: ${kept}.`);
    }
    expect(note({ state: 'pending', reason: `${problem}; it has no address yet` }, { egress: 'much' })).toBe(
      `Warning BandwidthInvalid ${KEY}: ${problem}; it has no address yet.`,
    );
    expect(note({ state: 'unsupported', reason: 'bypassed by policy' }, { egress: 'much' })).toBe(
      `Warning BandwidthUnsupported ${KEY} is not enforced: bypassed by policy.`,
    );
    expect(note({ state: 'shaped-htb', reason: 'below 64k; the last valid limit stays' }, { egress: '63k' })).toBe(
      `Warning BandwidthInvalid ${KEY}: below 64k; the last valid limit stays.`,
    );
    expect(note({ state: 'unsupported', reason: 'below 64k' }, { egress: '63k' })).toBe(
      `Warning BandwidthUnsupported ${KEY} is not enforced: below 64k.`,
    );
  });
});
