import { describe, expect, it } from 'vitest';
import type { Standing } from '../../bandwidth/enforce/types.ts';
import { standingNoticed, type Noticed } from '../../bandwidth/status/noticed.ts';

const BPS = 20_000_000n;
const shaped: Standing = { state: 'shaped-htb', reason: '', bps: BPS };
const weak = "shaped-htb at eth0, policed at eth1: tbf 7: at root on eth1 is another's";
const inPart: Standing = { state: 'policed', reason: weak, bps: BPS, inPart: true };
const AT_POD = 'policy (tcx ingress of veth1)';
const AT_ETH0 = 'policy (tcx egress of eth0)';

/** "STATE (REASON)", with a star where that is not so on all ways. */
function stands(standing: Standing, noticed: Partial<Noticed>): string {
  const none = { atPod: undefined, atUplinks: { by: undefined, seeing: ['eth0', 'eth2'] }, isSeenAtUplinks: false };
  const found = standingNoticed(standing, { ...none, ...noticed });
  expect(found.bps).toBe(BPS);
  return `${found.state}${found.inPart === true ? '*' : ''}${found.reason === '' ? '' : ` (${found.reason})`}`;
}

describe('a program that ends the chain', () => {
  it('nowhere changes nothing', () => {
    expect(stands(shaped, {})).toBe('shaped-htb');
    expect(stands(inPart, {})).toBe(`policed* (${weak})`);
  });

  it('at one of the uplinks leaves the backstop there, and HTB at the others', () => {
    const one = { atUplinks: { by: AT_ETH0, seeing: ['eth2'] } };
    expect(stands(shaped, one)).toBe(`policed* (bypassed by ${AT_ETH0})`);
    expect(stands(inPart, one)).toBe(`policed* (${weak}; bypassed by ${AT_ETH0})`);
    expect(stands(shaped, { atUplinks: { by: AT_ETH0, seeing: [] } })).toBe(`policed (bypassed by ${AT_ETH0})`);
    expect(stands({ ...shaped, reason: 'below 64k; the last valid limit stays' }, one)).toBe(
      `policed* (below 64k; the last valid limit stays; bypassed by ${AT_ETH0})`,
    );
  });

  it("at the pod's interface leaves what the uplinks see, if they see it", () => {
    const held = 'held only where it leaves by';
    expect(stands(shaped, { atPod: AT_POD })).toBe(`unsupported (bypassed by ${AT_POD})`);
    expect(stands(shaped, { atPod: AT_POD, isSeenAtUplinks: true })).toBe(
      `shaped-htb* (${held} eth0, eth2; bypassed by ${AT_POD})`,
    );
    // No uplink polices then, for it was from_pod that did.
    expect(stands(inPart, { atPod: AT_POD, isSeenAtUplinks: true })).toBe(
      `shaped-htb* (${held} eth0, eth2; bypassed by ${AT_POD})`,
    );
    expect(stands({ ...shaped, state: 'enforced' }, { atPod: AT_POD, atUplinks: undefined })).toBe(
      `unsupported (bypassed by ${AT_POD})`,
    );
    expect(stands({ ...shaped, state: 'shadow' }, { atPod: AT_POD })).toBe(`shadow (bypassed by ${AT_POD})`);
  });

  it('at both leaves the uplinks at which there is none', () => {
    const both = { atPod: AT_POD, isSeenAtUplinks: true };
    expect(stands(shaped, { ...both, atUplinks: { by: AT_ETH0, seeing: ['eth2'] } })).toBe(
      `shaped-htb* (held only where it leaves by eth2; bypassed by ${AT_POD} and ${AT_ETH0})`,
    );
    expect(stands(shaped, { ...both, atUplinks: { by: AT_ETH0, seeing: [] } })).toBe(
      `unsupported (bypassed by ${AT_POD})`,
    );
  });
});
