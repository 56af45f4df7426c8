import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nodeNameOf, projectPod } from '../../bandwidth/pods/pod.ts';

const EGRESS = 'kubernetes.io/egress-bandwidth';
const INGRESS = 'kubernetes.io/ingress-bandwidth';

function pod(change: { metadata?: object; spec?: object; status?: object } = {}): object {
  return {
    metadata: {
      ...{ namespace: 'shop', name: 'web-1', uid: 'u-1', creationTimestamp: '2026-01-02T03:04:05Z' },
      ...change.metadata,
    },
    spec: { nodeName: 'node-1', ...change.spec },
    status: { phase: 'Running', podIP: '10.0.0.7', podIPs: [{ ip: '10.0.0.7' }, { ip: 'fd00::7' }], ...change.status },
  };
}

describe('a pod', () => {
  test('is reduced to what decides its place in the network and its limits', () => {
    const metadata = { annotations: { [EGRESS]: '10M', [INGRESS]: '1G', other: 'x' } };
    expect(projectPod(pod({ metadata }))).toEqual({
      ...{ uid: 'u-1', namespace: 'shop', name: 'web-1', ips: ['10.0.0.7', 'fd00::7'] },
      ...{ hostNetwork: false, finished: false, createdMs: Date.UTC(2026, 0, 2, 3, 4, 5) },
      ...{ egress: '10M', ingress: '1G' },
    });
  });

  test('without annotations has no limits, not even undefined ones', () => {
    expect(Object.keys(projectPod(pod())!)).toEqual([
      ...['uid', 'namespace', 'name', 'ips', 'hostNetwork', 'finished', 'createdMs'],
    ]);
  });

  test.each<[string, object, object]>([
    ['one address, of an old server', { status: { podIPs: undefined } }, { ips: ['10.0.0.7'] }],
    ['an empty list of addresses', { status: { podIPs: [], podIP: '' } }, { ips: [] }],
    ['no status yet', { status: { podIPs: undefined, podIP: undefined, phase: 'Pending' } }, { ips: [] }],
    [
      'addresses that are none',
      { status: { podIPs: [{ ip: 'x' }, { ip: 7 }, null, { ip: 'FD00:0::7' }, { ip: 'fd00::7' }] } },
      { ips: ['fd00::7'] },
    ],
    ['no address at all', { status: { podIPs: [{ ip: '10.55.0.999' }, { ip: 7 }] } }, { ips: ['"10.55.0.999"', '7'] }],
    ['the network of its host', { spec: { hostNetwork: true } }, { hostNetwork: true }],
    ['success', { status: { phase: 'Succeeded' } }, { finished: true }],
    ['failure', { status: { phase: 'Failed' } }, { finished: true }],
    ['an unknown phase', { status: { phase: 'Unknown' } }, { finished: false }],
    ['a mirror annotation', { metadata: { annotations: { 'kubernetes.io/config.mirror': 'abc' } } }, { uid: 'u-1' }],
    ['no uid, as written by hand', { metadata: { uid: undefined } }, { uid: 'shop/web-1' }],
    ['a time that is none', { metadata: { creationTimestamp: 'today' } }, { createdMs: 0 }],
  ])('with %s', (_, change, expected) => {
    expect(projectPod(pod(change))).toMatchObject(expected);
  });

  test.each<[string, unknown, string | undefined]>([
    ['an empty value', '', ''],
    ['a value that is no quantity', 'a lot', 'a lot'],
    ['null, which is no annotation', null, undefined],
    ['a number', 1_000_000, '1000000'],
    ['a mapping', { rate: 1 }, '{rate}'],
    ['a value that never ends', `1${'0'.repeat(200)}M`, `1${'0'.repeat(127)}…`],
  ])('annotated with %s is told as it is', (_, value, egress) => {
    expect(projectPod(pod({ metadata: { annotations: { [EGRESS]: value } } }))?.egress).toBe(egress);
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['a list', []],
    ['no metadata', { spec: {} }],
    ['no name', pod({ metadata: { name: '' } })],
    ['no namespace', pod({ metadata: { namespace: 7 } })],
    ['a name that never ends', pod({ metadata: { name: 'x'.repeat(254) } })],
  ])('that is %s is none', (_, value) => {
    expect(projectPod(value)).toBeUndefined();
  });

  test('of any form is read without a throw, and what is kept is small', () => {
    const odd = fc.oneof(fc.anything(), fc.string({ minLength: 200, maxLength: 2_000 }));
    const object = fc.record(
      {
        metadata: fc.record(
          {
            ...{ name: fc.oneof(fc.constant('a'), odd), namespace: fc.oneof(fc.constant('b'), odd), uid: odd },
            ...{ creationTimestamp: odd, annotations: fc.oneof(odd, fc.record({ [EGRESS]: odd, [INGRESS]: odd })) },
          },
          { requiredKeys: [] },
        ),
        spec: fc.oneof(odd, fc.record({ nodeName: odd, hostNetwork: odd })),
        status: fc.oneof(
          odd,
          fc.record({ phase: odd, podIP: odd, podIPs: fc.oneof(odd, fc.array(fc.record({ ip: odd }))) }),
        ),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(object, fc.anything()), (value) => {
        nodeNameOf(value);
        const kept = projectPod(value);
        if (kept !== undefined) expect(JSON.stringify(kept).length).toBeLessThan(12_000);
      }),
    );
  });
});
