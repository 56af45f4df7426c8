import { existsSync, readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { askLimits } from '../../cli/limits-client.ts';
import { bpfObjectPath, loadBpf, type BpfObject } from '../../lib/bpf/index.ts';
import { buildBpf, temporaryDir } from '../support/bpf.ts';
import { until } from '../support/netloom.ts';
import { anotherObject } from './limit-support/another-object.ts';
import { anotherVersion } from './limit-support/another-version.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import { seenAt, watch } from './limit-support/look.ts';
import type { Pod } from './limit-support/pods.ts';
import { UdpStream, sleep } from './limit-support/udp-stream.ts';

const MBIT = 1_000_000;
/** What is measured may be more than the limit by this. */
const OVER = 1.03;

let rig: LimitsRig;
beforeAll(buildBpf);
beforeEach(() => {
  rig = new LimitsRig();
});
afterEach(() => rig.remove());

async function detachedWithoutTrace(before: string): Promise<void> {
  rig.note();
  expect(await rig.detach()).toMatchObject({ status: 0, stderr: '' });
  expect(rig.tc()).toBe(before);
  expect(await rig.leftInKernel()).toEqual([]);
  expect(readdirSync(rig.bpffs)).not.toContain('netloom');
  expect(existsSync(rig.state)).toBe(false);
}

describe('limits outlive the agent', () => {
  it('killed, it leaves them in force; the next one goes on; SIGTERM keeps them; --detach leaves no trace', async () => {
    const limit = 20 * MBIT;
    const sender = rig.addPod(1, { egress: '20M' });
    const receiver = rig.addPod(2, { ingress: '20M' });
    const before = rig.tc();
    rig.publish();
    const first = rig.start('--enforce');
    await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: limit });
    await rig.stands('p2', 'ingress', { state: 'shaped-htb', configuredBps: limit });
    expect(rig.note()).toEqual({ programs: 3, maps: 6, links: 4 });
    const slots = await rig.owners();

    const out = await UdpStream.start(sender, rig.outside, 3 * limit);
    const into = await UdpStream.start(rig.outside, receiver, 3 * limit);
    await sleep(1500);
    const killedMs = Date.now();
    await first.end('SIGKILL');
    const tcDead = rig.tc();
    await sleep(1500);
    const startedMs = Date.now();
    const second = rig.start('--enforce');
    await second.says('limits');
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    const upMs = Date.now();
    await sleep(1500);
    const counted = (await rig.row('p1', 'egress'))!;
    const termMs = Date.now();
    expect(await second.end()).toEqual({ status: 0, signal: null });
    await sleep(1200);
    const endMs = Date.now();

    for (const [way, arrivals] of [
      ['egress', await out.stop()],
      ['ingress', await into.stop()],
    ] as const) {
      const phases: [string, number, number][] = [
        ['before', killedMs - 1200, killedMs],
        ['dead', killedMs, startedMs],
        ['restarting', startedMs, upMs],
        ['after', upMs, termMs],
        ['after SIGTERM', termMs, endMs],
      ];
      const means = phases.map(([name, from, to]) => [name, arrivals.meanBps(from, to) / limit] as const);
      console.log(
        `${way}: most in a second ${(arrivals.mostBps() / limit).toFixed(3)} of the limit; ` +
          means.map(([name, share]) => `${name} ${share.toFixed(3)}`).join(', '),
      );
      expect(arrivals.mostBps()).toBeLessThan(OVER * limit);
      for (const [name, share] of means) expect(share, `${way} ${name}`).toBeGreaterThan(0.8);
    }
    // Taken over: the same slots, classes and qdiscs, and counters that went on.
    expect(rig.tc()).toBe(tcDead);
    expect(await rig.owners()).toEqual(slots);
    expect(rig.note()).toEqual({ programs: 3, maps: 6, links: 4 });
    const sentBytes = (termMs - killedMs) * (limit / 8000) * 0.8;
    expect(counted.passedBytes).toBeGreaterThan(sentBytes);
    expect(second.log().find(({ msg }) => msg === 'limits')).toMatchObject({ takenUp: 2 });
    for (const agent of [first, second]) expect(agent.log().filter(({ level }) => level === 'error')).toEqual([]);

    await detachedWithoutTrace(before);
  });

  it('without --pins they are on a bpffs of their own, which --detach takes away too', async () => {
    rig.withoutPins();
    rig.addPod(1, { egress: '20M' });
    const before = rig.tc();
    rig.publish();
    const first = rig.start('--enforce');
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    const counts = rig.note();
    expect(counts.links).toBe(2);
    await first.end('SIGKILL');
    const second = rig.start('--enforce');
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    expect(second.log().find(({ msg }) => msg === 'limits')).toMatchObject({ takenUp: 1 });
    expect(rig.note()).toEqual(counts);
    await second.end('SIGKILL');
    expect(await rig.detach()).toMatchObject({ status: 0, stderr: '' });
    expect(rig.tc()).toBe(before);
    expect(await rig.leftInKernel()).toEqual([]);
    expect(existsSync(rig.state)).toBe(false);
    // A second time there is nothing to be done, and that is no fault.
    expect(await rig.detach()).toMatchObject({ status: 0, stderr: '' });
  });

  it('while it is not known which pods there are, they stay, and that is told; metrics tell of them then', async () => {
    rig.addPod(1, { egress: '20M' });
    rig.publish();
    const first = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    await first.end('SIGKILL');
    const tc = rig.tc();
    rmSync(rig.snapshot);
    const second = rig.start('--enforce', '--metrics-listen', '127.0.0.1:9760');
    await second.says('limits of pods');
    await sleep(1000);
    expect(rig.tc()).toBe(tc);
    const report = await askLimits(rig.socket);
    expect(report.rows).toEqual([]);
    expect(report.warnings).toEqual([
      expect.stringContaining('nothing is known of the pods yet'),
      'limits of the agent before stay in force (1); which pods they are of is not known yet',
    ]);
    rig.publish();
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    expect((await askLimits(rig.socket)).warnings).toEqual([]);
    const metrics = rig.node.run(
      'python3 -c "import urllib.request as u; print(u.urlopen(\'http://127.0.0.1:9760/metrics\').read().decode())"',
    );
    expect(metrics).toContain(
      'netloom_limit_state{namespace="default",pod="p1",direction="egress",state="shaped-htb"} 1',
    );
    expect(metrics).toContain('netloom_limit_slots{kind="used"} 1');
    await second.end();
  });

  it('--detach with another folder of pins leaves them in force, and says so', async () => {
    rig.addPod(1, { egress: '20M' });
    const before = rig.tc();
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    await agent.end('SIGKILL');
    const held = rig.tc();
    const right = rig.pinsArgs;
    rig.pinsArgs = ['--pins', `${rig.bpffs}/elsewhere`];
    const wrong = await rig.detach();
    expect(wrong.status).toBe(1);
    expect(wrong.stdout).toContain('Limits are in force at 2 interfaces, and are not pinned in');
    expect(wrong.stdout).toContain(`netloom agent --detach --pins ${rig.pins}`);
    expect(rig.tc()).toBe(held);
    rig.pinsArgs = right;
    await detachedWithoutTrace(before);
  });

  it('does not start beside one that runs, and --detach refuses then', async () => {
    rig.addPod(1, { egress: '20M' });
    rig.publish();
    const first = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    const second = rig.startChild();
    await second.end('SIGCONT');
    expect(second.stderr).toContain('AGENT_PINS_IN_USE');
    const detach = await rig.detach();
    expect(detach.status).not.toBe(0);
    expect(detach.stderr).toContain('AGENT_PINS_IN_USE');
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    await first.end();
  });
});

describe('an upgrade', () => {
  const limit = 20 * MBIT;
  let sender: Pod;
  let probes: BpfObject;
  let before: string;

  beforeEach(async () => {
    sender = rig.addPod(1, { egress: '20M' });
    rig.addPod(2, { ingress: '1G' });
    rig.publish();
    // They are there before the agent, so they run behind its programs.
    probes = await loadBpf({ object: bpfObjectPath('limit-probes') });
    for (const [ifindex, direction] of [
      [sender.ifindex, 'ingress'] as const,
      [rig.outside.ifindex, 'egress'] as const,
    ]) {
      watch(probes, ifindex);
      rig.node.inside(() => probes.program('look').attachTcx(ifindex, direction));
    }
    before = rig.tc();
  });
  afterEach(() => probes.close());

  /** Sends at three times the limit while another agent comes in the place of the first. */
  async function whileSending(replace: () => Promise<void>): Promise<void> {
    const stream = await UdpStream.start(sender, rig.outside, 3 * limit);
    await sleep(1200);
    await replace();
    await sleep(1200);
    const arrivals = await stream.stop();
    const atPod = seenAt(probes, sender.ifindex);
    const atUplink = seenAt(probes, rig.outside.ifindex);
    console.log(
      `most in a second ${(arrivals.mostBps() / limit).toFixed(3)} of the limit; ` +
        `${atPod['large']} packets left the pod, ${atUplink['large']} the node`,
    );
    // Each met one of the programs where it left the pod, and one where it left the node.
    expect(atPod['large']).toBeGreaterThan(5000);
    expect(atPod['largeCarried']).toBe(atPod['large']);
    expect(atUplink['largeClassed']).toBe(atUplink['large']);
    expect(arrivals.mostBps()).toBeLessThan(OVER * limit);
  }

  it('of the program leaves no packet unlimited; slots, maps and counters stay', async () => {
    const first = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    const slots = await rig.owners();
    const [counts, maps, programs] = [rig.note(), rig.maps(), rig.programs()];
    const dir = temporaryDir();
    try {
      const bpfObject = anotherObject(dir.path);
      await whileSending(async () => {
        await first.end('SIGKILL');
        rig.startChild({ bpfObject });
        await rig.stands('p1', 'egress', { state: 'shaped-htb' });
      });
    } finally {
      dir.remove();
    }
    expect(rig.maps()).toEqual(maps);
    expect(await rig.owners()).toEqual(slots);
    expect(rig.note()).toEqual(counts);
    expect(rig.programs().filter((id) => programs.includes(id))).toEqual([]);
    const { passed } = await rig.counted('p1', 'egress');
    expect(passed).toBe(seenAt(probes, rig.outside.ifindex)['large']);
    await rig.processes.cleanup();
    await detachedWithoutTrace(before);
  });

  it('from a version whose maps have another layout leaves no packet unlimited; slots and last valid limits stay', async () => {
    const dir = temporaryDir();
    try {
      const { child, bpfObject } = anotherVersion(dir.path);
      // The first slots are free by then: who comes later would have them, were they given anew.
      rig.addPod(3, { egress: '30M', ingress: '30M' });
      rig.publish();
      const first = rig.startChild({ bpfObject }, child);
      await rig.stands('p3', 'ingress', { state: 'shaped-htb' });
      rig.forget('p3');
      rig.tell({ name: 'p4', ips: [rig.node.addPod(4).address], egress: '40M' });
      rig.annotate('p1', { egress: 'lots' });
      rig.publish();
      await rig.stands('p4', 'egress', { state: 'shaped-htb' });
      await rig.settles();
      const slots = await rig.owners();
      const [counts, maps, tc] = [rig.note(), rig.mapsDirs(), rig.tc()];
      await whileSending(async () => {
        await first.end('SIGKILL');
        rig.startChild();
        await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: limit, invalid: true });
      });
      await rig.settles();
      expect(rig.mapsDirs()).toHaveLength(1);
      expect(rig.mapsDirs()).not.toEqual(maps);
      expect(await rig.owners()).toEqual(slots);
      expect(rig.tc()).toBe(tc);
      expect(rig.note()).toEqual(counts);
    } finally {
      dir.remove();
    }
    await rig.processes.cleanup();
    rig.note();
    expect(await rig.detach()).toMatchObject({ status: 0, stderr: '' });
    expect(await rig.leftInKernel()).toEqual([]);
  });

  it.each([
    ['more', 1024, 4096],
    ['fewer', 1024, 16],
  ])(
    'to %s slots leaves no packet unlimited, takes over what was counted, and drops the old maps',
    async (_name, from, to) => {
      const first = rig.start('--enforce', '--limit-slots', String(from));
      await rig.stands('p1', 'egress', { state: 'shaped-htb' });
      const slots = await rig.owners();
      const [counts, maps, tc] = [rig.note(), rig.mapsDirs(), rig.tc()];
      let passedBefore = 0;
      await whileSending(async () => {
        passedBefore = (await rig.counted('p1', 'egress')).passed;
        await first.end('SIGKILL');
        rig.start('--enforce', '--limit-slots', String(to));
        await rig.stands('p1', 'egress', { state: 'shaped-htb' });
      });
      expect(rig.mapsDirs()).toHaveLength(1);
      expect(rig.mapsDirs()).not.toEqual(maps);
      expect(await rig.owners()).toEqual(slots);
      expect(rig.tc()).toBe(tc);
      expect(rig.note()).toEqual(counts);
      const { passed } = await rig.counted('p1', 'egress');
      expect(passed).toBeGreaterThan(passedBefore + 1000);
      await rig.processes.cleanup();
      await detachedWithoutTrace(before);
    },
  );

  it('to fewer slots than the pods need says which are not held', async () => {
    for (let n = 3; n <= 11; n++) rig.addPod(n, { egress: '20M', ingress: '20M' });
    rig.publish();
    const agent = rig.startChild({ slots: 16 });
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    const rows = await rig.rows();
    const refused = rows.filter(({ state }) => state === 'unsupported');
    expect(rows).toHaveLength(20);
    expect(refused).toHaveLength(5);
    for (const { reason } of refused) expect(reason).toBe('all 15 slots are taken; raise --limit-slots');
    // A place that gets free is given to the next.
    rig.forget('p1');
    rig.publish();
    await until('one more is held', async () => {
      return (await rig.rows()).filter(({ state }) => state === 'unsupported').length === 4;
    });
    await agent.end();

    // The other way round: what has a slot beyond the last one moves, or loses it.
    const states = async (): Promise<string[]> => (await rig.rows().catch(() => [])).map(({ state }) => state);
    const many = rig.startChild({ slots: 64 });
    await until('all are held', async () => (await states()).filter((state) => state === 'shaped-htb').length === 19);
    const before = await rig.owners();
    await many.end('SIGKILL');
    const few = rig.startChild({ slots: 16 });
    await until('as many as there are slots', async () => {
      const all = await states();
      return all.length === 19 && all.filter((state) => state === 'shaped-htb').length === 15;
    });
    await rig.settles();
    const after = await rig.owners();
    expect(Object.keys(after)).toHaveLength(15);
    for (const [owner, slot] of Object.entries(after)) {
      if (before[owner]! < 16) expect(slot).toBe(before[owner]);
      expect(slot).toBeLessThan(16);
    }
    expect(rig.tc().match(/class htb \S+ root/g)).toHaveLength(15);
    // A pod whose slots found no place keeps its interface all the same, and no other pod gets it.
    for (const { pod, interfaces, reason } of await rig.rows()) {
      expect(interfaces, reason).toEqual([pod.replace('p', 'pod')]);
    }
    await few.end();
  });
});

describe('an annotation', () => {
  const invalid = '"lots" is no quantity; expected bits a second, as 10M; the last valid limit stays';

  it('that cannot be used leaves the last valid limit, also over restarts; one that is gone takes it away', async () => {
    const sender = rig.addPod(1, { egress: '20M' });
    rig.publish();
    const first = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: 20 * MBIT, invalid: false });
    rig.annotate('p1', { egress: 'lots' });
    rig.publish();
    const kept = { state: 'shaped-htb', configuredBps: 20 * MBIT, invalid: true, reason: invalid } as const;
    await rig.stands('p1', 'egress', kept);
    const stream = await UdpStream.start(sender, rig.outside, 60 * MBIT);
    await first.end('SIGKILL');
    const second = rig.startChild();
    await rig.stands('p1', 'egress', kept);
    await second.end('SIGTERM');
    const third = rig.startChild({ slots: 64 });
    await rig.stands('p1', 'egress', kept);
    const arrivals = await stream.stop();
    expect(arrivals.mostBps()).toBeLessThan(OVER * 20 * MBIT);
    for (const agent of [first, second, third]) {
      const told = agent.log().filter(({ msg, reason }) => msg === 'limit' && reason === invalid);
      expect(told.map(({ level }) => level)).toEqual(['warn']);
    }

    rig.annotate('p1', {});
    rig.publish();
    await until('no limit is there', async () => (await rig.rows()).length === 0);
    // What was valid before it was taken away is forgotten, here and by the next agent.
    rig.annotate('p1', { egress: 'lots' });
    rig.publish();
    const nothing = { state: 'unsupported', configuredBps: null, invalid: true } as const;
    await rig.stands('p1', 'egress', nothing);
    await third.end();
    const fourth = rig.startChild({ slots: 64 });
    await rig.stands('p1', 'egress', nothing);
    expect(rig.links()).toEqual([]);
    expect(rig.tc()).not.toContain('htb');
    await fourth.end();
  });

  it('below 64k is not held, and says so; what was in force before stays, with its state', async () => {
    rig.addPod(1, { egress: '63999', ingress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'unsupported', reason: 'below 64k', configuredBps: null });
    await rig.stands('p1', 'ingress', { state: 'shaped-htb' });
    rig.annotate('p1', { egress: '64k', ingress: '63k' });
    rig.publish();
    await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: 64_000 });
    const reason = 'below 64k; the last valid limit stays';
    await rig.stands('p1', 'ingress', { state: 'shaped-htb', reason, configuredBps: 20 * MBIT, invalid: true });
    // It is told of a pod that has not started, too.
    rig.tell({ name: 'p2', ips: [], egress: '63k' });
    rig.publish();
    await rig.stands('p2', 'egress', { state: 'unsupported', reason: 'below 64k', invalid: true });
    expect(agent.log().filter(({ level }) => level === 'error')).toEqual([]);
    await agent.end();
  });

  it('is in force within a second of its change, and follows it up and down', async () => {
    const sender = rig.addPod(1, { egress: '20M' });
    rig.publish();
    const agent = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb' });
    const took: number[] = [];
    for (const mbit of [40, 10, 30, 5, 20]) {
      const changedMs = performance.now();
      rig.annotate('p1', { egress: `${mbit}M` });
      rig.publish();
      await rig.classHas(rig.outside.uplink, `rate ${mbit}Mbit ceil ${mbit}Mbit`);
      took.push(performance.now() - changedMs);
      const stream = await UdpStream.start(sender, rig.outside, 2.5 * mbit * MBIT);
      // Of its seconds one without a pause of this machine is enough.
      await sleep(2000);
      const arrivals = await stream.stop();
      expect(arrivals.mostBps()).toBeLessThan(OVER * mbit * MBIT);
      expect(arrivals.mostBps()).toBeGreaterThan(0.9 * mbit * MBIT);
    }
    console.log(`annotation in force after ${took.map((ms) => ms.toFixed(0)).join(', ')} ms`);
    // Generous: this machine may be busy.
    expect(Math.max(...took)).toBeLessThan(10_000);
    await agent.end();
  });

  it('at the ends of its range is set as it says', async () => {
    rig.addPod(1, { egress: '64k', ingress: '1P' });
    rig.addPod(2, { egress: '1P', ingress: '64k' });
    rig.publish();
    const agent = rig.startChild();
    for (const [pod, direction, configuredBps] of [
      ['p1', 'egress', 64_000],
      ['p1', 'ingress', 1e15],
      ['p2', 'egress', 1e15],
      ['p2', 'ingress', 64_000],
    ] as const) {
      await rig.stands(pod, direction, { state: 'shaped-htb', configuredBps, reason: '' });
    }
    await rig.settles();
    await agent.end();
  });
});
