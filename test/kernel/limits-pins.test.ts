import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askLimits } from '../../cli/limits-client.ts';
import { BIN, until, type Running } from '../support/netloom.ts';
import { LimitsRig } from './limit-support/limits-rig.ts';
import { UdpStream, sleep } from './limit-support/udp-stream.ts';

/** Where limits are pinned, whose they are, and what an agent does that finds others' or none of its own. */

const LIMIT = 20e6;
/** Limits hold on the average of a second, and this machine may be busy. */
const OVER = 1.06;

let rig: LimitsRig;
beforeEach(() => {
  rig = new LimitsRig();
});
afterEach(() => rig.remove());

const heldTo20M = { state: 'shaped-htb', configuredBps: LIMIT } as const;

/** `netloom agent` with these options, in the network namespace of the node or in one of its own. */
const agent = (args: readonly string[], netns = rig.node.name) =>
  rig.processes.program('nsenter', [`--net=/run/netns/${netns}`, BIN, 'agent', ...args]);
const measuring = ['--node', 'n1', '--scheduler', '127.0.0.1:1', '--log-format', 'json'] as const;

async function leaveLimits(...pins: readonly string[]): Promise<void> {
  rig.publish();
  const first = rig.processes.startProgram('nsenter', [
    ...[`--net=/run/netns/${rig.node.name}`, BIN, 'agent', ...measuring, '--enforce', '--snapshot', rig.snapshot],
    ...['--state', rig.state, ...pins],
  ]);
  await rig.stands('p1', 'egress', heldTo20M);
  await first.end('SIGKILL');
}

describe('limits that another folder has', () => {
  it('are not started beside; the error names the folder and the command that takes them away', async () => {
    rig.addPod(1, { egress: '20M' });
    const before = rig.tc();
    await leaveLimits('--pins', rig.pins);
    const held = rig.tc();
    const other = ['--pins', join(rig.bpffs, 'other')];
    for (const purpose of ['--enforce', '--shadow']) {
      const refused = await agent([...measuring, purpose, '--snapshot', rig.snapshot, ...other, '--state', rig.state]);
      expect(refused.status).toBe(1);
      expect(refused.stderr).toContain('AGENT_LIMITS_ELSEWHERE');
      expect(refused.stderr).toContain(`pinned in ${rig.pins}`);
      expect(refused.stderr).toContain(`netloom agent --detach --pins ${rig.pins}`);
    }
    expect(rig.tc()).toBe(held);
    expect(existsSync(join(rig.bpffs, 'other'))).toBe(false);
    // The command does what it says.
    const detached = await agent(['--detach', ...other, '--state', rig.state]);
    expect(detached.status).toBe(1);
    expect(detached.stdout).toContain(`netloom agent --detach --pins ${rig.pins}`);
    expect((await agent(['--detach', '--pins', rig.pins, '--state', rig.state])).status).toBe(0);
    expect(rig.tc()).toBe(before);
  });

  it('of an agent without --pins are found below its state, and taken away as it is said', async () => {
    rig.addPod(1, { egress: '20M' });
    const before = rig.tc();
    await leaveLimits();
    const other = ['--pins', rig.pins];
    const refused = await agent([
      ...measuring,
      '--enforce',
      '--snapshot',
      rig.snapshot,
      ...other,
      '--state',
      rig.state,
    ]);
    expect(refused.stderr).toContain('AGENT_LIMITS_ELSEWHERE');
    expect(refused.stderr).toContain(`netloom agent --detach --state ${rig.state}`);
    expect((await agent(['--detach', '--state', rig.state])).status).toBe(0);
    expect(rig.tc()).toBe(before);
    // All that agents made is gone, also the folder of the state.
    expect(existsSync(rig.state)).toBe(false);
  });

  it('are told by an agent that only measures, and by a dry run, of the rows that they touch', async () => {
    rig.addPod(1, { egress: '20M' });
    await leaveLimits('--pins', rig.pins);
    const other = join(rig.bpffs, 'other');
    const plain = rig.processes.startProgram('nsenter', [
      ...[`--net=/run/netns/${rig.node.name}`, BIN, 'agent', ...measuring, '--pins', other, '--state', rig.state],
    ]);
    await plain.says('measuring');
    const told = plain.log().filter(({ level }) => level === 'error');
    expect(told).toMatchObject([
      { msg: `limits of another agent are in force at ${rig.outside.uplink}, pod1, pinned in ${rig.pins}` },
    ]);
    await plain.end();

    rig.annotate('p1', { egress: '30M' });
    rig.publish();
    for (const [pins, found] of [
      [other, `limits of another agent are in force at ${rig.outside.uplink}, pod1, pinned in ${rig.pins}. Take`],
      [rig.pins, `limits of an earlier agent are in force at 2 interfaces, pinned in ${rig.limitPins}`],
    ] as const) {
      const dry = rig.processes.startProgram('nsenter', [
        ...[`--net=/run/netns/${rig.node.name}`, BIN, 'agent', ...measuring, '--dry-run', '--snapshot', rig.snapshot],
        ...['--pins', pins, '--state', rig.state],
      ]);
      const reason = 'would be shaped-htb; limits of another agent are in force there';
      await rig.stands('p1', 'egress', { state: 'dry-run', configuredBps: 30e6, reason });
      expect((await askLimits(rig.socket)).warnings).toEqual([expect.stringContaining(found)]);
      await dry.end();
    }
    expect((await agent(['--detach', '--pins', rig.pins, '--state', rig.state])).status).toBe(0);
  });

  it('of an agent that runs are never set beside, whatever its folders', async () => {
    rig.addPod(1, { egress: '20M' });
    rig.publish();
    const first = rig.start('--enforce');
    await rig.stands('p1', 'egress', heldTo20M);
    const own = ['--pins', join(rig.bpffs, 'other'), '--state', join(rig.state, '..', 'state2')];
    const second = await agent([...measuring, '--enforce', '--snapshot', rig.snapshot, ...own]);
    expect(second.status).toBe(1);
    expect(second.stderr).toContain('AGENT_LIMITS_RUNNING');
    expect(second.stderr).toMatch(new RegExp(`process \\d+, pins in ${rig.limitPins}`));
    const detach = await agent(['--detach', ...own]);
    expect(detach.status).toBe(1);
    expect(detach.stdout).toContain('An agent limits this node');
    await rig.stands('p1', 'egress', heldTo20M);
    expect(rig.links()).toHaveLength(2);
    await first.end();
  });
});

describe('a folder that is removed while the agent runs', () => {
  it.each(['limits/links', 'limits', ''])('(%s of it) is made anew, and the limit holds again', async (part) => {
    const pod = rig.addPod(1, { egress: '20M' });
    rig.publish();
    const running = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    // All of it is gone before the agent looks.
    running.signal('SIGSTOP');
    rmSync(join(rig.pins, part), { recursive: true });
    running.signal('SIGCONT');
    await until('it is pinned again', () => rig.links().length === 2 && rig.maps().length === 6, 10_000);
    await rig.stands('p1', 'egress', heldTo20M);
    await rig.settles();
    const stream = await UdpStream.start(pod, rig.outside, 3 * LIMIT);
    await sleep(1300);
    expect((await stream.stop()).mostBps()).toBeLessThan(OVER * LIMIT);
    // A change is applied, and the next agent finds all of it.
    rig.annotate('p1', { egress: '30M' });
    rig.publish();
    await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: 30e6 });
    await running.end('SIGKILL');
    const next = rig.startChild();
    await rig.stands('p1', 'egress', { state: 'shaped-htb', configuredBps: 30e6 });
    expect(next.log().find(({ msg }) => msg === 'limits')).toMatchObject({ takenUp: 1 });
    await next.end();
  });

  it('and cannot be made anew is told: the state is not that of a limit that holds', async () => {
    rig.addPod(1, { egress: '20M' });
    rig.publish();
    const running = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    running.signal('SIGSTOP');
    rmSync(rig.limitPins, { recursive: true });
    execFileSync('mount', ['-o', 'remount,bind,ro', rig.bpffs]);
    running.signal('SIGCONT');
    const row = await rig.stands('p1', 'egress', { state: 'unsupported' }, 30_000);
    expect(row.reason).toContain('limits cannot be pinned there');
    execFileSync('mount', ['-o', 'remount,bind,rw', rig.bpffs]);
    await rig.stands('p1', 'egress', heldTo20M, 30_000);
    expect(rig.links()).toHaveLength(2);
    await running.end();
  });
});

describe('another network namespace', () => {
  it('has no part in these pins: nothing is taken away, by an agent or by --detach', async () => {
    const pod = rig.addPod(1, { egress: '20M' });
    await leaveLimits('--pins', rig.pins);
    const held = rig.tc();
    const stranger = `${rig.node.name}x`;
    execFileSync('ip', ['netns', 'add', stranger]);
    try {
      for (const args of [
        ['--detach', '--pins', rig.pins, '--state', rig.state],
        [...measuring, '--enforce', '--snapshot', rig.snapshot, '--pins', rig.pins, '--state', rig.state],
      ]) {
        const refused = await agent(args, stranger);
        expect(refused.status).toBe(1);
        expect(refused.stderr).toContain('AGENT_OTHER_NAMESPACE');
        expect(refused.stderr).toContain('hostNetwork: true');
      }
    } finally {
      execFileSync('ip', ['netns', 'del', stranger]);
    }
    expect(rig.tc()).toBe(held);
    expect(rig.links()).toHaveLength(2);
    const stream = await UdpStream.start(pod, rig.outside, 3 * LIMIT);
    await sleep(1300);
    expect((await stream.stop()).mostBps()).toBeLessThan(OVER * LIMIT);
    expect((await agent(['--detach', '--pins', rig.pins, '--state', rig.state])).status).toBe(0);
  });
});

const doubts = (running: Running): Promise<void> =>
  until('it doubts the list', () => running.log().some(({ msg }) => msg.includes('Is --node right?')));

describe('a list of pods that would take all limits away', () => {
  it.each([
    ['has no pod of this node', 'nobody', 'no pod of node nobody is known'],
    ['has only pods of another node', 'other', 'none of their pods is among those of node other'],
  ])('and %s is not believed for a while', async (_name, node, words) => {
    rig.addPod(1, { egress: '20M' });
    await leaveLimits('--pins', rig.pins);
    const held = rig.tc();
    const wrong = rig.startChild({ node });
    await doubts(wrong);
    await sleep(1500);
    expect(rig.tc()).toBe(held);
    expect((await askLimits(rig.socket)).warnings.join()).toContain(words);
    expect(wrong.log().filter(({ level }) => level === 'error')).toHaveLength(1);
    await wrong.end();
    const right = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    expect(rig.tc()).toBe(held);

    // Also one that comes later; in the end it is believed, and that is told.
    await right.end();
    const impatient = rig.startChild({ doubtMs: 3000 });
    await rig.stands('p1', 'egress', heldTo20M);
    rig.forget('p1');
    rig.publish();
    await doubts(impatient);
    expect(rig.tc()).toBe(held);
    await until('they are taken away', () => rig.links().length === 0);
    await impatient.says('limit is gone');
    await impatient.end();
  });

  it('is believed where their interfaces are gone', async () => {
    const pod = rig.addPod(1, { egress: '20M' });
    rig.publish();
    const running = rig.startChild();
    await rig.stands('p1', 'egress', heldTo20M);
    rig.node.removePod(pod);
    rig.forget('p1');
    rig.publish();
    await until('nothing is left', () => rig.links().length === 0, 10_000);
    await until('no row is left', async () => (await rig.rows()).length === 0, 10_000);
    await running.end();
  });
});

describe('what agents made', () => {
  it('is removed by --detach, and nothing else', async () => {
    rig.addPod(1, { egress: '20M' });
    mkdirSync(join(rig.bpffs, 'theirs'), { mode: 0o700 });
    mkdirSync(rig.state, { recursive: true });
    const pins = join(rig.bpffs, 'theirs', 'a', 'b', 'c');
    await leaveLimits('--pins', pins);
    expect((await agent(['--detach', '--pins', pins, '--state', rig.state])).status).toBe(0);
    expect(existsSync(join(rig.bpffs, 'theirs', 'a'))).toBe(false);
    expect(existsSync(join(rig.bpffs, 'theirs'))).toBe(true);
    expect(existsSync(rig.state)).toBe(true);
  });

  it('is nothing where a listener cannot be had', async () => {
    rig.addPod(1, { egress: '20M' });
    rig.publish();
    const before = rig.tc();
    const taken = rig.processes.startProgram('nsenter', [
      ...[`--net=/run/netns/${rig.node.name}`, 'python3', '-u', '-m', 'http.server', '9761', '--bind', '127.0.0.1'],
    ]);
    await until('the port is taken', () => rig.node.run('ss -Hltn sport = :9761') !== '');
    const { status, stderr } = await agent([
      ...[...measuring, '--enforce', '--snapshot', rig.snapshot, '--pins', rig.pins, '--state', rig.state],
      ...['--metrics-listen', '127.0.0.1:9761'],
    ]);
    await taken.end();
    expect(status).toBe(1);
    expect(stderr).toContain('AGENT_LISTEN_FAILED');
    expect(rig.tc()).toBe(before);
    expect(existsSync(rig.limitPins)).toBe(false);
  });
});

it('a dry run attaches and pins nothing at all, and serves metrics all the same', async () => {
  rig.addPod(1, { egress: '20M' });
  rig.publish();
  const dry = rig.start('--dry-run', '--metrics-listen', '127.0.0.1:9762');
  await rig.stands('p1', 'egress', { state: 'dry-run', reason: 'would be shaped-htb' });
  const metrics = rig.node.run('curl -s http://127.0.0.1:9762/metrics');
  expect(metrics).toContain('netloom_limit_state{namespace="default",pod="p1",direction="egress",state="dry-run"} 1');
  expect(existsSync(rig.pins)).toBe(false);
  await dry.end();
});

it('a user without rights is told so, and leaves nothing behind', async () => {
  rig.publish();
  const asNobody = (...args: string[]) =>
    rig.processes.program('setpriv', [
      ...['--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', BIN, 'agent'],
      ...args,
    ]);
  const state = `/tmp/netloom-nobody-${process.pid}`;
  for (const purpose of ['--enforce', '--shadow', '--dry-run']) {
    const { status, stderr } = await asNobody('--node', 'n1', purpose, '--snapshot', rig.snapshot, '--state', state);
    expect(status).toBe(1);
    expect(stderr).toContain('NETLINK_NOT_PERMITTED: the network devices of this node may not be looked into');
    expect(stderr).not.toContain('qdisc');
  }
  const { status, stdout } = await asNobody('--detach', '--state', state);
  expect(stdout).toBe('Whether limits are in force cannot be told without CAP_NET_ADMIN: run it as root.\n');
  expect(status).toBe(1);
  expect(existsSync(state)).toBe(false);
});
