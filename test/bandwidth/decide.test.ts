import { describe, expect, it } from 'vitest';
import { decided, hooked, needed, slotted, told, type DecideSpec } from './decide-fixture.ts';

const TBF_POD = 'tbf 7: at root (as the CNI bandwidth plugin and Calico set it)';

describe('without fq', () => {
  it('nothing is wanted of the kernel while no pod has a limit', () => {
    const nothing = decided({ pods: [{ name: 'a', at: [10] }, { name: 'b', at: [11] }, { name: 'c' }] });
    expect([nothing.slots, nothing.hooks, nothing.needs]).toEqual([[], [], []]);
    expect([nothing.interfaces.size, nothing.standings.size]).toEqual([0, 0]);
  });

  it('a limit of what a pod sends holds at its own interface, and is shaped at uplinks', () => {
    const desired = decided({
      pods: [
        { name: 'a', at: [10], egress: '8M' },
        { name: 'b', at: [11] },
      ],
    });
    expect(told(desired)).toEqual(['a egress: shaped-htb at 8000000']);
    expect(slotted(desired)).toEqual(['a egress htb at 1000000']);
    expect(hooked(desired)).toEqual(['10 from_pod', '11 from_pod', '2 leave']);
    expect(needed(desired)).toEqual(['2 shape']);
    const { slot } = desired.slots[0]!;
    expect([...desired.interfaces]).toEqual([
      [10, { egressSlot: slot }],
      [11, {}],
    ]);
  });

  it('a limit of what it receives is judged at its own interface; others only may not stamp', () => {
    const desired = decided({
      pods: [
        { name: 'a', at: [10], ingress: '8M' },
        { name: 'b', at: [11] },
      ],
    });
    expect(told(desired)).toEqual(['a ingress: shaped-htb at 8000000']);
    expect(hooked(desired)).toEqual(['10 from_pod', '10 to_pod', '11 from_pod']);
    expect(needed(desired)).toEqual(['10 shape']);
  });

  it('both limits have slots of their own, and every interface of the pod has both', () => {
    const desired = decided({ pods: [{ name: 'a', at: [10, 12], egress: '8M', ingress: '16M' }] });
    expect(slotted(desired)).toEqual(['a egress htb at 1000000', 'a ingress htb at 2000000']);
    const slotOf = Object.fromEntries(desired.slots.map(({ direction, slot }) => [direction, slot]));
    const entry = { egressSlot: slotOf['egress'], ingressSlot: slotOf['ingress'] };
    expect(entry.egressSlot).not.toBe(entry.ingressSlot);
    expect([...desired.interfaces]).toEqual([
      [10, entry],
      [12, entry],
    ]);
    expect(needed(desired)).toEqual(['10 shape', '12 shape', '2 shape']);
  });

  it('every uplink has the classes', () => {
    const desired = decided({ pods: [{ name: 'a', at: [10], egress: '8M' }], uplinks: ['kernel', 'ourHtb'] });
    expect(needed(desired)).toEqual(['2 shape', '3 shape']);
    expect(hooked(desired)).toEqual(['10 from_pod', '2 leave', '3 leave']);
  });

  it('a node without uplink polices what pods send', () => {
    const desired = decided({ pods: [{ name: 'a', at: [10], egress: '8M' }], uplinks: [] });
    expect(told(desired)).toEqual([
      'a egress: policed at 8000000 (the node has no uplink that could hold packets back)',
    ]);
    expect(slotted(desired)).toEqual(['a egress police at 1000000']);
    expect([hooked(desired), needed(desired)]).toEqual([['10 from_pod'], []]);
  });

  const FOREIGN = [
    ['tbf', 'tbf 7: at root'],
    ['pfifo', 'pfifo 5: at root'],
    ['wideFq', 'fq 9: at root'],
    ['mqWithForeignLeaf', 'mq 9: at root'],
  ] as const;

  it.each(FOREIGN)('another root on the uplink (%s) makes what pods send policed, with its name', (root, name) => {
    const desired = decided({ pods: [{ name: 'a', at: [10], egress: '8M', ingress: '8M' }], uplinks: [root] });
    expect(told(desired)).toEqual([
      `a egress: policed at 8000000 (${name} on eth0 is another's)`,
      'a ingress: shaped-htb at 8000000',
    ]);
    expect(needed(desired)).toEqual(['10 shape']);
    expect(hooked(desired)).toEqual(['10 from_pod', '10 to_pod']);
  });

  it.each(FOREIGN)('and on one of several (%s) only what leaves there; each is told', (root, name) => {
    const pods = [{ name: 'a', at: [10], egress: '8M' }];
    const desired = decided({ pods, uplinks: ['kernel', root, 'ourHtb'] });
    expect(told(desired)).toEqual([
      `a egress: policed at 8000000 (shaped-htb at eth0, eth2, policed at eth1: ${name} on eth1 is another's)`,
    ]);
    expect(desired.standings.get('uid-a')!.egress!.inPart).toBe(true);
    expect(slotted(desired)).toEqual(['a egress htb at 1000000']);
    expect(needed(desired)).toEqual(['2 shape', '4 shape']);
    expect(hooked(desired)).toEqual(['10 from_pod', '2 leave', '4 leave']);
  });

  it('all of them foreign: each is named, as far as a sentence bears', () => {
    const pods = [{ name: 'a', at: [10], egress: '8M' }];
    const two = decided({ pods, uplinks: ['tbf', 'pfifo'] });
    expect(told(two)).toEqual([
      "a egress: policed at 8000000 (tbf 7: at root on eth0 is another's; pfifo 5: at root on eth1 is another's)",
    ]);
    expect(slotted(two)).toEqual(['a egress police at 1000000']);
    const five = told(decided({ pods, uplinks: ['tbf', 'tbf', 'tbf', 'tbf', 'tbf'] }))[0]!;
    expect(five).toMatch(/eth0 is another's; .*eth2 is another's; 2 more\)$/);
  });

  it("the CNI's token bucket on a pod's interface is in charge of what that pod receives, and of nothing else", () => {
    const pods = [
      { name: 'a', at: [10], egress: '8M', ingress: '8M' },
      { name: 'b', at: [11], ingress: '8M' },
    ];
    const desired = decided({ pods, roots: { 10: 'tbf' } });
    expect(told(desired)).toEqual([
      'a egress: shaped-htb at 8000000',
      `a ingress: unsupported at 8000000 (${TBF_POD} on veth10 is in charge)`,
      'b ingress: shaped-htb at 8000000',
    ]);
    expect(slotted(desired)).toEqual(['a egress htb at 1000000', 'b ingress htb at 1000000']);
    expect(needed(desired)).toEqual(['11 shape', '2 shape']);
    expect(desired.interfaces.get(10)).not.toHaveProperty('ingressSlot');
  });

  it("another root on a pod's interface makes what it receives policed", () => {
    const desired = decided({ pods: [{ name: 'a', at: [10], ingress: '8M' }], roots: { 10: 'pfifo' } });
    expect(told(desired)).toEqual(["a ingress: policed at 8000000 (pfifo 5: at root on veth10 is another's)"]);
  });

  it('the worst of several interfaces decides', () => {
    const pods = [{ name: 'a', at: [10, 11], ingress: '8M' }];
    expect(told(decided({ pods, roots: { 11: 'pfifo' } }))).toEqual([
      "a ingress: policed at 8000000 (pfifo 5: at root on veth11 is another's)",
    ]);
    expect(told(decided({ pods, roots: { 10: 'pfifo', 11: 'tbf' } }))).toEqual([
      `a ingress: unsupported at 8000000 (${TBF_POD} on veth11 is in charge)`,
    ]);
  });

  it('a device on which no classes can be set up makes a policer, with the reason', () => {
    const unshapable = new Map([[2, 'the kernel has no htb (module sch_htb)']]);
    const desired = decided({ pods: [{ name: 'a', at: [10], egress: '8M', ingress: '8M' }], unshapable });
    expect(told(desired)).toEqual([
      'a egress: policed at 8000000 (no HTB at eth0: the kernel has no htb (module sch_htb))',
      'a ingress: shaped-htb at 8000000',
    ]);
    // Only there, and nothing is tried there for a while.
    const pods = [{ name: 'a', at: [10], egress: '8M' }];
    const two = decided({ pods, unshapable: new Map([[2, 'no room']]), uplinks: ['kernel', 'kernel'] });
    expect(told(two)).toEqual([
      'a egress: policed at 8000000 (shaped-htb at eth1, policed at eth0: no HTB at eth0: no room)',
    ]);
    expect(needed(two)).toEqual(['3 shape']);
  });
});

describe('with fq', () => {
  const fq = { fq: true } as const;

  it('stamped packets are paced wherever they may leave', () => {
    const desired = decided({
      ...fq,
      pods: [
        { name: 'a', at: [10], egress: '8M' },
        { name: 'b', at: [11] },
      ],
    });
    expect(told(desired)).toEqual(['a egress: enforced at 8000000']);
    expect(slotted(desired)).toEqual(['a egress stamp at 1000000']);
    expect(needed(desired)).toEqual(['10 pace', '11 pace', '2 pace']);
    expect(hooked(desired)).toEqual(['10 from_pod', '11 from_pod']);
  });

  it('a limit of what a pod receives paces its own interface only', () => {
    const desired = decided({
      ...fq,
      pods: [
        { name: 'a', at: [10], ingress: '8M' },
        { name: 'b', at: [11] },
      ],
    });
    expect(told(desired)).toEqual(['a ingress: enforced at 8000000']);
    expect(needed(desired)).toEqual(['10 pace']);
    expect(hooked(desired)).toEqual(['10 from_pod', '10 to_pod', '11 from_pod']);
  });

  it("another's fq paces too if it holds enough, also on every queue; else it would drop", () => {
    const pods = [{ name: 'a', at: [10], egress: '8M' }];
    for (const root of ['wideFq', 'mqOfFq'] as const) {
      expect(told(decided({ ...fq, pods, uplinks: [root] })), root).toEqual(['a egress: enforced at 8000000']);
    }
    expect(told(decided({ ...fq, pods, uplinks: ['narrowFq'] }))).toEqual([
      "a egress: policed at 8000000 (fq on eth0 is another's and would drop what waits: flow_limit 100, of 4000)",
    ]);
    expect(told(decided({ ...fq, pods, uplinks: ['mqWithForeignLeaf'] }))).toEqual([
      "a egress: policed at 8000000 (mq 9: at root on eth0 is another's)",
    ]);
  });

  it('another qdisc on one of several uplinks: the others pace all the same, and each is told', () => {
    const pods = [
      { name: 'a', at: [10], egress: '8M', ingress: '8M' },
      { name: 'b', at: [11] },
    ];
    for (const [root, what] of [
      ['tbf', "tbf 7: at root on eth1 is another's"],
      ['mqWithForeignLeaf', "mq 9: at root on eth1 is another's"],
      ['narrowFq', "fq on eth1 is another's and would drop what waits: flow_limit 100, of 4000"],
    ] as const) {
      const desired = decided({ ...fq, pods, uplinks: ['kernel', root] });
      expect(told(desired)).toEqual([
        `a egress: policed at 8000000 (enforced at eth0, policed at eth1: ${what})`,
        'a ingress: enforced at 8000000',
      ]);
      expect(slotted(desired)).toEqual(['a egress stamp at 1000000', 'a ingress stamp at 1000000']);
      expect(needed(desired)).toEqual(['10 pace', '11 pace', '2 pace']);
    }
    const dry = decided({ ...fq, pods, uplinks: ['kernel', 'tbf'], purpose: 'dry-run' });
    expect(told(dry)[0]).toBe(
      "a egress: dry-run at 8000000 (would be policed; enforced at eth0, policed at eth1: tbf 7: at root on eth1 is another's)",
    );
  });

  it('a pod towards which departure times are not heeded is named', () => {
    const pods = [
      { name: 'a', at: [10], egress: '8M' },
      { name: 'b', at: [11] },
      { name: 'c', at: [12] },
      { name: 'd', at: [13] },
    ];
    const one = decided({ ...fq, pods, roots: { 11: 'tbf' } });
    expect(told(one)).toEqual([`a egress: enforced at 8000000 (not held towards shop/b (tbf 7: at root))`]);
    const many = decided({ ...fq, pods, roots: { 11: 'pfifo', 12: 'pfifo', 13: 'pfifo' } });
    expect(told(many)).toEqual([
      'a egress: enforced at 8000000 (not held towards shop/b (pfifo 5: at root) and shop/c (pfifo 5: at root), ...)',
    ]);
  });

  it('without uplink pods next door are paced all the same', () => {
    expect(told(decided({ ...fq, pods: [{ name: 'a', at: [10], egress: '8M' }], uplinks: [] }))).toEqual([
      'a egress: enforced at 8000000',
    ]);
  });
});

describe('somebody else who has the same annotations', () => {
  const cilium = "Cilium's bandwidth manager";
  const plugin = "the CNI's bandwidth plugin";

  it.each([true, false])('is in charge where it is, and only there (fq: %s)', (fq) => {
    const pods = [
      { name: 'a', at: [10], egress: '8M', ingress: '8M' },
      { name: 'b', at: [11], egress: '8M' },
    ];
    const state = fq ? 'enforced' : 'shaped-htb';
    expect(told(decided({ pods, fq, neighbours: new Map([[2, { egress: cilium }]]) }))).toEqual([
      `a egress: unsupported at 8000000 (${cilium} on eth0 is in charge)`,
      `a ingress: ${state} at 8000000`,
      `b egress: unsupported at 8000000 (${cilium} on eth0 is in charge)`,
    ]);
    expect(told(decided({ pods, fq, neighbours: new Map([[10, { egress: plugin }]]) }))).toEqual([
      `a egress: unsupported at 8000000 (${plugin} on veth10 is in charge)`,
      `a ingress: ${state} at 8000000`,
      `b egress: ${state} at 8000000`,
    ]);
  });

  it('who is in charge of everything leaves nothing for us to attach', () => {
    const pods = [{ name: 'a', at: [10], egress: '8M' }];
    const desired = decided({ pods, neighbours: new Map([[2, { egress: cilium }]]), slotCount: 1 });
    expect([desired.slots, desired.hooks, desired.needs, desired.interfaces.size]).toEqual([[], [], [], 0]);
    expect(told(desired)).toEqual([`a egress: unsupported at 8000000 (${cilium} on eth0 is in charge)`]);
  });
});

describe('pods that have no interface', () => {
  it.each([
    ['host-network', 'it uses the network of the node', 'unsupported'],
    ['foreign-device', 'the node reaches it through tap0 (tun)', 'unsupported'],
    ['no-address', 'it has no address yet', 'pending'],
    ['not-found', 'no veth or netkit of the node leads to 10.0.0.2', 'pending'],
    ['ambiguous', 'namespaces 1 and 2 both have its address', 'pending'],
    ['taken', 'its address is that of shop/b by now', 'pending'],
    ['bad-address', 'its address cannot be read: "x"', 'unsupported'],
    ['not-coming', 'no veth or netkit of the node leads to 10.0.0.2, for over a minute', 'unsupported'],
  ] as const)('%s', (reason, detail, state) => {
    const place = { found: false, reason, detail } as const;
    const desired = decided({
      pods: [
        { name: 'a', egress: '8M', place },
        { name: 'b', at: [11] },
      ],
    });
    expect(told(desired)).toEqual([`a egress: ${state} at 8000000 (${detail})`]);
    expect(desired.hooks).toEqual([]);
    // What is wrong with its annotation is told, whatever may still come.
    const lasting = state === 'unsupported' ? `; ${detail}` : '';
    for (const [egress, problem] of [
      ['1', '"1" is out of range; expected 1k to 1P bits a second'],
      ['63k', 'below 64k'],
    ] as const) {
      expect(told(decided({ pods: [{ name: 'a', egress, place }] }))).toEqual([
        `a egress: unsupported (${problem}${lasting})`,
      ]);
      const kept = `${problem}; the last valid limit stays; ${detail}`;
      expect(told(decided({ pods: [{ name: 'a', egress, place }], last: { 'a egress': 8_000_000n } }))).toEqual([
        `a egress: ${state} at 8000000 (${kept})`,
      ]);
    }
  });

  it('finished ones are not told of', () => {
    const place = { found: false, reason: 'finished', detail: 'its containers have ended' } as const;
    expect(told(decided({ pods: [{ name: 'a', egress: '8M', finished: true, place }] }))).toEqual([]);
  });
});

describe('an annotation that cannot be used', () => {
  const invalid = '"much" is no quantity; expected bits a second, as 10M';

  it('leaves the last valid limit in force, and says so', () => {
    const pods = [{ name: 'a', at: [10], egress: 'much', ingress: '63999' }];
    const desired = decided({ pods, last: { 'a egress': 8_000_000n, 'a ingress': 16_000_000n } });
    expect(told(desired)).toEqual([
      `a egress: shaped-htb at 8000000 (${invalid}; the last valid limit stays)`,
      'a ingress: shaped-htb at 16000000 (below 64k; the last valid limit stays)',
    ]);
    expect(slotted(desired)).toEqual(['a egress htb at 1000000', 'a ingress htb at 2000000']);
  });

  it('is no limit where there was none', () => {
    const desired = decided({ pods: [{ name: 'a', at: [10], egress: 'much', ingress: '63999' }] });
    expect(told(desired)).toEqual([`a egress: unsupported (${invalid})`, 'a ingress: unsupported (below 64k)']);
    expect([desired.slots, desired.hooks]).toEqual([[], []]);
  });

  it('and a foreign qdisc: both are told', () => {
    const pods = [{ name: 'a', at: [10], egress: 'much' }];
    expect(told(decided({ pods, uplinks: ['pfifo'], last: { 'a egress': 8_000_000n } }))).toEqual([
      `a egress: policed at 8000000 (${invalid}; the last valid limit stays; pfifo 5: at root on eth0 is another's)`,
    ]);
  });
});

describe('slots', () => {
  const pods = ['a', 'b', 'c'].map((name, i) => ({ name, at: [10 + i], egress: '8M', ingress: '8M' }));

  it('that are all taken leave the rest without limit, and say what to do; who has one keeps it', () => {
    const desired = decided({ pods, slotCount: 4 });
    expect(told(desired)).toEqual([
      'a egress: shaped-htb at 8000000',
      'a ingress: shaped-htb at 8000000',
      'b egress: shaped-htb at 8000000',
      'b ingress: unsupported at 8000000 (all 3 slots are taken; raise --limit-slots)',
      'c egress: unsupported at 8000000 (all 3 slots are taken; raise --limit-slots)',
      'c ingress: unsupported at 8000000 (all 3 slots are taken; raise --limit-slots)',
    ]);
    expect(desired.interfaces.get(11)).not.toHaveProperty('ingressSlot');
  });

  it('are not taken by limits that somebody else holds', () => {
    const neighbours = new Map([[10, { egress: 'somebody' }]]);
    expect(
      told(decided({ pods, slotCount: 4, neighbours, roots: { 10: 'tbf' } })).filter((s) => s.includes('slots')),
    ).toHaveLength(1);
  });
});

describe('shadow', () => {
  it('counts every pod that is there, wants no qdisc, and heeds no neighbour', () => {
    const spec: DecideSpec = {
      purpose: 'shadow',
      pods: [
        { name: 'a', at: [10], egress: '8M' },
        { name: 'b', at: [11], ingress: 'much' },
        { name: 'c' },
        { name: 'd', ingress: '8M', place: { found: false, reason: 'host-network', detail: 'the node' } },
      ],
      uplinks: ['tbf'],
    };
    const desired = decided(spec);
    expect(told(desired)).toEqual([
      'a egress: shadow at 8000000',
      'a ingress: shadow',
      'b egress: shadow',
      'b ingress: shadow ("much" is no quantity; expected bits a second, as 10M)',
      'd ingress: unsupported at 8000000 (the node)',
    ]);
    expect(slotted(desired)).toEqual([
      'a egress shadow at 1000000',
      'a ingress shadow at 0',
      'b egress shadow at 0',
      'b ingress shadow at 0',
    ]);
    expect(hooked(desired)).toEqual(['10 from_pod', '10 to_pod', '11 from_pod', '11 to_pod']);
    expect(desired.needs).toEqual([]);
    expect([...desired.interfaces.values()].every(({ keepStamps }) => keepStamps)).toBe(true);
  });

  it('has slots for as many as there are, whole pods or half', () => {
    const desired = decided({
      purpose: 'shadow',
      pods: [
        { name: 'a', at: [10] },
        { name: 'b', at: [11] },
      ],
      slotCount: 4,
    });
    expect(told(desired)).toEqual([
      'a egress: shadow',
      'a ingress: shadow',
      'b egress: shadow',
      'b ingress: unsupported (all 3 slots are taken; raise --limit-slots)',
    ]);
  });
});

it('a dry run wants nothing and says how it would be', () => {
  const desired = decided({
    purpose: 'dry-run',
    pods: [
      { name: 'a', at: [10], egress: '8M', ingress: 'much' },
      { name: 'b', at: [11], egress: 'much' },
    ],
    last: { 'b egress': 8_000_000n },
  });
  expect(told(desired)).toEqual([
    'a egress: dry-run at 8000000 (would be shaped-htb)',
    'a ingress: unsupported ("much" is no quantity; expected bits a second, as 10M)',
    'b egress: dry-run at 8000000 (would be shaped-htb; "much" is no quantity; expected bits a second, as 10M; the last valid limit stays)',
  ]);
  expect([desired.slots, desired.hooks, desired.needs, desired.interfaces.size]).toEqual([[], [], [], 0]);
});

it('devices without link-layer header are told to the programs', () => {
  const desired = decided({
    pods: [
      { name: 'a', at: [10, 11], egress: '8M' },
      { name: 'b', at: [12] },
    ],
    headerless: [11, 12],
  });
  expect([...desired.interfaces].map(([ifindex, { noMac }]) => [ifindex, noMac])).toEqual([
    [10, undefined],
    [11, true],
    [12, true],
  ]);
});
