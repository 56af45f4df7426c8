import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import {
  labDown,
  labEnv,
  labRun,
  labUp,
  movePods,
  nodeExec,
  openLab,
  registerProcess,
  scopeFile,
  snapshotFile,
  startTraffic,
  trueMatrix,
} from '../../lab/index.ts';
import { command } from '../../lab/command.ts';
import { until } from '../support/netloom.ts';
import { isAlive, processesOfLab, startTimeOf } from '../../lab/processes.ts';
import { labName, labRoot, smallScenario, sweep, traces } from './lab-support.ts';

const root = labRoot();
const names: string[] = [];
const fresh = (): string => {
  const name = labName();
  names.push(name);
  return name;
};
afterAll(async () => {
  await sweep(names, root);
});

const devices = async (): Promise<string> => await command('ip', ['-br', 'link']);
const ruleset = async (): Promise<string> => await command('nft', ['list', 'ruleset']);

describe('a lab', () => {
  it('leaves no trace: namespaces, processes, files, and nothing in the namespace of the machine', async () => {
    const name = fresh();
    const before = { links: await devices(), rules: await ruleset(), netns: readdirSync('/run/netns').sort() };
    const lab = await labUp({ name, root, scenario: 'two-nodes' });
    expect(traces(name, root).length).toBeGreaterThan(10);
    expect(await devices()).toBe(before.links);
    expect(await ruleset()).toBe(before.rules);
    const processes = processesOfLab(name);
    expect(processes).toHaveLength(lab.state.pods.length + lab.state.nodes.length);

    const report = await labDown({ name, root });
    expect(report).toMatchObject({ name, foreign: [] });
    expect(traces(name, root)).toEqual([]);
    expect(processes.filter(isAlive)).toEqual([]);
    const others = new Set(before.netns);
    expect(readdirSync('/run/netns').filter((n) => n.startsWith('nl-') && !others.has(n) && n.includes(name))).toEqual(
      [],
    );
    await expect(labDown({ name, root })).rejects.toMatchObject({ code: 'LAB_NOT_FOUND' });
  });

  it('refuses a second start of the same name, and leaves the first as it was', async () => {
    const name = fresh();
    const lab = await labUp({ name, root, scenario: 'two-nodes' });
    await expect(labUp({ name, root, scenario: 'two-nodes' })).rejects.toMatchObject({ code: 'LAB_EXISTS' });
    expect(processesOfLab(name)).toHaveLength(lab.state.pods.length + lab.state.nodes.length);
    expect((await openLab({ name, root })).state).toEqual(lab.state);
    await labDown({ name, root });
  });

  it('stands beside another lab whose name begins alike, and the other survives its end', async () => {
    const one = fresh();
    const two = `${one}x`;
    names.push(two);
    await labUp({ name: one, root, scenario: 'two-nodes' });
    const other = await labUp({ name: two, root, scenario: 'two-nodes' });
    const before = traces(two, root);
    await labDown({ name: one, root });
    expect(traces(one, root)).toEqual([]);
    expect(traces(two, root)).toEqual(before);
    expect((await trueMatrix(other)).faults.silentPods).toEqual([]);
    await labDown({ name: two, root });
  });

  it.each([30, 200, 400, 700, 1000])(
    'is removed whole after its builder was killed %i ms into building',
    async (ms) => {
      const name = fresh();
      const source = `import { labUp } from ${JSON.stringify(new URL('../../lab/up.ts', import.meta.url).href)};
      process.send('started');
      await labUp({ name: ${JSON.stringify(name)}, root: ${JSON.stringify(root)}, scenario: 'online-boutique' });`;
      const builder = spawn(process.execPath, ['--input-type=module', '-e', source], {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
      // On a fast machine it is done before it is killed.
      const ended = new Promise((resolve) => builder.once('exit', resolve));
      await new Promise((resolve, reject) => {
        builder.once('message', resolve);
        builder.once('exit', (code) => reject(new Error(`the builder ended with ${code}`)));
      });
      await sleep(ms);
      builder.kill('SIGKILL');
      await ended;
      await labDown({ name, root }).catch((error: unknown) => {
        // Killed before it made anything.
        expect(error).toMatchObject({ code: 'LAB_NOT_FOUND' });
      });
      await sleep(100);
      expect(traces(name, root)).toEqual([]);
    },
  );

  it('is found and removed without its folder', async () => {
    const name = fresh();
    await labUp({ name, root, scenario: 'two-nodes' });
    rmSync(`${root}/${name}`, { recursive: true });
    const report = await labDown({ name, root });
    expect(report.namespaces).toBeGreaterThan(5);
    expect(traces(name, root)).toEqual([]);
  });

  it('is removed with a broken lab.json', async () => {
    const name = fresh();
    await labUp({ name, root, scenario: 'two-nodes' });
    writeFileSync(`${root}/${name}/lab.json`, '{"netloomLab":1');
    await expect(openLab({ name, root })).rejects.toMatchObject({ code: 'LAB_STATE_BROKEN' });
    await labDown({ name, root });
    expect(traces(name, root)).toEqual([]);
  });

  it('leaves alone what only looks like its own: a namespace without its mark, a reused pid', async () => {
    const name = fresh();
    const stranger = `nl-${name}-p-stranger`;
    const lab = await labUp({ name, root, scenario: 'two-nodes' });
    await command('ip', ['netns', 'add', stranger]);
    const bystander = spawn('sleep', ['60']);
    try {
      // As if a pod had ended and its pid had gone to somebody else.
      lab.state.pods[0]!.process = { pid: bystander.pid!, startTime: '1' };
      writeFileSync(`${root}/${name}/lab.json`, JSON.stringify(lab.state));
      await labDown({ name, root });
      expect(existsSync(`/run/netns/${stranger}`)).toBe(true);
      expect(startTimeOf(bystander.pid!)).toBeDefined();
    } finally {
      bystander.kill();
      await command('ip', ['netns', 'del', stranger]);
    }
    expect(traces(name, root)).toEqual([]);
  });

  it('ends the processes that go with it, and names those of others inside it', async () => {
    const name = fresh();
    const lab = await labUp({ name, root, scenario: 'two-nodes', paused: true });
    const inside = nodeExec(lab, 'node-0', ['sleep', '60'], { stdio: 'ignore' });
    const marked = spawn('sleep', ['60'], { env: labEnv(lab), stdio: 'ignore' });
    const registered = spawn('sleep', ['60'], { stdio: 'ignore' });
    await registerProcess(lab, 'agent', registered.pid!);
    const foreign = spawn('nsenter', [`--net=${lab.state.nodes[0]!.netns}`, 'sleep', '60'], { stdio: 'ignore' });
    const netns = statSync(lab.state.nodes[0]!.netns).ino;
    await until('all are where they are to be', () => {
      const isInside = [inside, foreign].every(({ pid }) => readlinkSync(`/proc/${pid}/ns/net`) === `net:[${netns}]`);
      const isMarked = processesOfLab(name).some(({ pid }) => pid === marked.pid);
      return isInside && isMarked;
    });
    const report = await labDown({ name, root });
    expect(report.foreign.map((p) => p.pid)).toEqual([foreign.pid]);
    expect(startTimeOf(foreign.pid!)).toBeDefined();
    foreign.kill();
    expect([inside, marked, registered].map((p) => startTimeOf(p.pid!))).toEqual([undefined, undefined, undefined]);
    expect(traces(name, root)).toEqual([]);
  });

  it('that cannot be built leaves nothing either', async () => {
    const name = fresh();
    const scenario = smallScenario({ requestsPerSecond: 1 });
    // A name that `ip` refuses, as a bug of ours might produce.
    const broken = { ...scenario, nodes: scenario.nodes.map((n) => ({ ...n, name: `${n.name}/x` })) };
    const workloads = scenario.workloads.map((w) => ({ ...w, placement: w.placement.map((p) => `${p}/x`) }));
    await expect(labUp({ name, root, scenario: { ...broken, workloads } })).rejects.toMatchObject({
      code: 'LAB_COMMAND_FAILED',
    });
    expect(traces(name, root)).toEqual([]);
  });

  it('runs for a while and tells its matrix', async () => {
    const name = fresh();
    const result = await labRun({ name, root, scenario: 'two-nodes', durationMs: 1500 });
    expect(traces(name, root)).toEqual([]);
    expect(result.matrix.workloads.map((e) => `${e.client}>${e.server}`)).toEqual(['web>api', 'api>store']);
    for (const e of result.matrix.workloads) {
      expect(e.byClients.requests).toBeGreaterThan(50);
      expect(e.byServers).toEqual(e.byClients);
    }
    expect(result.crossing.payloadBytes).toBeGreaterThan(0);
    // Headers and acknowledgements come on top of the payload that crossed.
    expect(result.crossing.fabricBytes).toBeGreaterThan(result.crossing.crossNodeBytes);
  });
});

describe('pods of a lab', () => {
  it('are deleted and made again on another node under a new name, uid and address, and traffic goes on', async () => {
    const name = fresh();
    const lab = await labUp({ name, root, scenario: 'two-nodes', paused: true });
    const old = lab.state.pods.find((p) => p.workload === 'store')!;
    const web = lab.state.pods.find((p) => p.workload === 'web')!;
    const bytesOf = async (server: string): Promise<number> =>
      (await trueMatrix(lab)).pods.find((e) => e.server.name === server)?.bytesOut ?? 0;
    await startTraffic(lab);
    await until('it is talked to', async () => (await bytesOf(old.name)) > 0);
    const [moved] = await movePods(lab, [{ pod: old.name, node: 'node-0' }]);
    expect(moved).toMatchObject({ workload: 'store', node: 'node-0' });
    expect(new Set([moved!.name, old.name]).size).toBe(2);
    expect(new Set([moved!.uid, old.uid]).size).toBe(2);
    expect(new Set([moved!.address, old.address]).size).toBe(2);
    expect(existsSync(old.netns!)).toBe(false);

    const before = await bytesOf(moved!.name);
    await until('traffic goes on', async () => (await bytesOf(moved!.name)) > before);
    // The one that is gone keeps what it counted.
    expect(await bytesOf(old.name)).toBeGreaterThan(0);

    const snapshot = JSON.parse(readFileSync(snapshotFile(lab), 'utf8'));
    const pods = snapshot.items.filter((i: { kind: string }) => i.kind === 'Pod');
    expect(pods.map((p: { metadata: { name: string } }) => p.metadata.name).sort()).toEqual(
      lab.state.pods.map((p) => p.name).sort(),
    );
    const scope = (node: string): string[] => readFileSync(scopeFile(lab, node), 'utf8').trim().split('\n');
    expect(scope('node-0')).toContain(moved!.netns);
    expect(scope('node-0')).toContain(web.netns);
    expect(scope('node-1')).not.toContain(old.netns);
    for (const path of [...scope('node-0'), ...scope('node-1')]) expect(existsSync(path)).toBe(true);
    await labDown({ name, root });
    expect(traces(name, root)).toEqual([]);
  });
});
