import { constants } from 'node:fs';
import { access, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { NetloomError } from '../../lib/errors.ts';
import { exportFailed } from '../../lib/files/file-problem.ts';
import { counted, humanCount, humanShare, printResult } from '../../lib/output/index.ts';
import type { SimulatedCluster } from '../../scheduler/simulate/cluster.ts';
import type { PolicyName } from '../../scheduler/simulate/policies/policy.ts';
import { defineCommand } from '../command.ts';
import { outputOptions } from '../options/common.ts';
import { schedulerSection } from '../options/scheduler.ts';
import { simulateOptions } from '../options/simulate.ts';
import { ProgressLine } from '../progress.ts';
import { inputProblemsText, simulationText } from '../simulate-text.ts';

const PLANNED = (schedulerSection.options.plan.default as string) === 'on';
/** Runs over which figures are averaged, where nobody says: enough to see how much the order of arrival decides. */
const SEEDS = 5;

export default defineCommand({
  name: 'simulate',
  summary: 'tell what Netloom would save in a cluster, without touching it',
  description: [
    'Takes a snapshot of a cluster and its traffic, lets all pods but those of DaemonSets arrive anew, one after the ' +
      'other, and puts each where kube-scheduler would: alone, and with the scores of Netloom. Compares how much ' +
      'traffic could then stay on its node and in its zone. Requests, pod limits and the replica cap always hold.',
    'Affinity to other pods, spread constraints of the pods themselves and volumes are not modelled.',
  ],
  examples: [
    {
      text: 'What would Netloom save me?',
      command: 'netloom simulate --snapshot cluster.json --traffic traffic.csv --price 0.02',
    },
    {
      text: 'One policy, workloads rolling out one after the other.',
      command: 'netloom simulate --snapshot M3.json --policy netloom --order rollout -o json',
    },
    {
      text: 'A made-up cluster of 200 nodes, also as files.',
      command: 'netloom simulate --generate nodes=200,seed=1 --export ./made-up',
    },
    {
      text: 'Where every pod would go.',
      command: 'netloom simulate --snapshot M3.json --policy netloom --placement out.json',
    },
  ],
  flags: { ...simulateOptions, ...outputOptions },
  async run({ options, stdout, stderr, environment }) {
    const { runSimulations, placementOf } = await import('../../scheduler/simulate/report.ts');
    const { placementSettings } = await import('../../scheduler/placement/index.ts');
    if (options.export !== undefined) {
      const { generateCluster } = await import('../../scheduler/simulate/generate/generate.ts');
      const { writeCluster } = await import('../../scheduler/simulate/generate/write.ts');
      const written = await writeCluster(generateCluster(asked(options)), options.export);
      stdout.write(written.map((file) => `wrote ${file}\n`).join(''));
      return 0;
    }
    const { policy, order, routing, defaultModel, maxReplicaShare, linkMbps } = options;
    const single = options.placement !== undefined || options.arrivals !== undefined;
    const seeds = options.seeds ?? (single ? 1 : SEEDS);
    refuseConflicts({ seeds, policy, placement: options.placement });
    if (options.placement !== undefined) {
      await refuseInputs(options.placement, options);
      await refuseUnwritable(options.placement);
    }
    const cluster = await clusterFor(options, {
      maxReplicaShare,
      ...(linkMbps === undefined ? {} : { linkMbps }),
    });
    const arrivals = options.arrivals === undefined ? undefined : await readOrder(options.arrivals);

    const policies: readonly PolicyName[] = policy === undefined ? ['default', 'netloom', 'netloom-plan'] : [policy];
    const line = new ProgressLine(stderr);
    const { report, simulations } = runSimulations(cluster, policies, {
      order,
      ...(arrivals === undefined ? {} : { arrivals }),
      firstSeed: options.seed,
      seeds,
      defaultModel,
      routing,
      placement: placementSettings({ maxReplicaShare }),
      ...(options.planIterations === undefined ? {} : { planIterations: options.planIterations }),
      progress: (done) =>
        line.show(() => {
          const share = humanShare(done.done / Math.max(1, done.of));
          if (done.doing === 'planning') return `${done.policy}: the plan is made (${share})`;
          return `${done.policy}: ${humanCount(done.done)} of ${counted(done.of, 'pod has', 'pods have')} arrived (${share})`;
        }),
    });
    line.end();

    if (options.placement !== undefined) {
      await writePlacement(options.placement, placementOf(cluster, simulations[0]!.nodeOf));
    }
    stderr.write(inputProblemsText(cluster.problems));
    await printResult(stdout, options.output, environment, {
      data: report,
      text: (style) => simulationText(report, { price: options.price, planned: PLANNED }, style),
    });
    return 0;

    async function readOrder(path: string): Promise<Int32Array> {
      const { readArrivals } = await import('../../scheduler/simulate/arrivals-file.ts');
      const { order: listed, leftOut, ignored } = await readArrivals(path, cluster);
      if (leftOut > 0) {
        stderr.write(`${counted(leftOut, 'pod is', 'pods are')} not in ${path}, and will not arrive.\n`);
      }
      if (ignored > 0) {
        const [is, their] = ignored === 1 ? ['is that of a pod', 'its end'] : ['are those of pods', 'their end'];
        stderr.write(
          `${counted(ignored, 'name')} in ${path} ${is} that no scheduler places (of a DaemonSet, a mirror pod, or at ${their}): ignored.\n`,
        );
      }
      return listed;
    }
  },
});

interface Sources {
  readonly snapshot: string | undefined;
  readonly traffic: string | undefined;
  readonly generate: Readonly<Record<string, number>>;
}

async function clusterFor(
  sources: Sources,
  options: { readonly maxReplicaShare: number; readonly linkMbps?: number },
): Promise<SimulatedCluster> {
  const { snapshot, traffic, generate } = sources;
  const { clusterOf, loadCluster } = await import('../../scheduler/simulate/load.ts');
  if (snapshot !== undefined && Object.keys(generate).length === 0) return loadCluster({ snapshot, traffic }, options);
  const { generateCluster } = await import('../../scheduler/simulate/generate/generate.ts');
  const made = generateCluster(asked(sources));
  return clusterOf(made.records, made.traffic, { ...options, hasUnits: true });
}

/** @throws NetloomError where it is not said whose cluster is meant, or said twice */
function asked({ snapshot, traffic, generate }: Sources): Readonly<Record<string, number>> {
  if (Object.keys(generate).length === 0) {
    throw new NetloomError('CONFIG_MISSING', 'there is no cluster to simulate', {
      expected: '--snapshot FILE, or --generate nodes=N',
      found: 'neither',
    });
  }
  if (snapshot !== undefined || traffic !== undefined) {
    throw new NetloomError('CONFIG_CONFLICT', 'a made-up cluster has its own snapshot and traffic', {
      expected: '--generate, or --snapshot and --traffic',
      found: 'both',
    });
  }
  return generate;
}

function refuseConflicts(options: {
  readonly seeds: number;
  readonly policy: string | undefined;
  readonly placement: string | undefined;
}): void {
  if (options.placement === undefined) return;
  if (options.policy === undefined) {
    throw new NetloomError('CONFIG_CONFLICT', '--placement writes where one policy puts the pods', {
      expected: '--policy',
      found: 'none',
      remedy: 'Add --policy netloom, or another one.',
    });
  }
  if (options.seeds === 1) return;
  throw new NetloomError('CONFIG_CONFLICT', '--placement writes the placement of one run', {
    expected: '--seeds 1',
    found: `--seeds ${String(options.seeds)}`,
    remedy: 'Leave out --seeds; --seed chooses the run.',
  });
}

/** By whatever name: the file is written over. */
async function refuseInputs(
  path: string,
  inputs: {
    readonly snapshot: string | undefined;
    readonly traffic: string | undefined;
    readonly arrivals: string | undefined;
  },
): Promise<void> {
  const identity = async (file: string): Promise<string | undefined> =>
    stat(file).then(
      ({ dev, ino }) => `${dev}:${ino}`,
      () => undefined,
    );
  const own = await identity(path);
  for (const flag of ['snapshot', 'traffic', 'arrivals'] as const) {
    const input = inputs[flag];
    if (own === undefined || input === undefined || (await identity(input)) !== own) continue;
    throw new NetloomError('CONFIG_CONFLICT', `--placement would overwrite what --${flag} reads`, {
      expected: 'a file of its own',
      found: path,
      remedy: 'Name another file with --placement.',
    });
  }
}

/** Before the work, for it may take minutes. */
async function refuseUnwritable(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
    const there = await stat(path).catch(() => undefined);
    if (there?.isDirectory() === true) throw Object.assign(new Error('EISDIR: this is a folder'), { code: 'EISDIR' });
  } catch (error) {
    throw exportFailed('the placement', 'file', path, error);
  }
}

async function writePlacement(path: string, placement: Record<string, string | null>): Promise<void> {
  try {
    await writeFile(path, `${JSON.stringify(placement, null, 1)}\n`);
  } catch (error) {
    throw exportFailed('the placement', 'file', path, error);
  }
}
