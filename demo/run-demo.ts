import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Writer } from '../cli/command.ts';
import { explainText } from '../cli/explain-text.ts';
import { limitsText } from '../cli/limits-text.ts';
import { crossingBetween, DEFAULT_SCENARIO } from '../lab/index.ts';
import {
  answerText,
  clusterText,
  compareMatrix,
  comparisonText,
  crossingText,
  limitedText,
  movesText,
  wrap,
  type LearnedEdge,
} from '../lab/demo/index.ts';
import { NetloomError } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { humanBitrate, humanDuration, paintFor, type TextStyle } from '../lib/output/index.ts';
import type { ExplainReply } from '../scheduler/api/replies.ts';
import { askPrioritize } from './ask.ts';
import { openLiveStage } from './live-stage.ts';
import { openRecordedStage } from './recorded-stage.ts';
import { createRecorder, type Recorder } from './recorder.ts';
import { startScheduler, type SchedulerUnderDemo } from './scheduler-under-demo.ts';
import type { Stage } from './stage.ts';

export interface DemoOptions {
  readonly name: string;
  readonly keep: boolean;
  readonly recorded: boolean;
  readonly record: string | undefined;
  readonly stdout: Writer;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

const RECORDING = fileURLToPath(new URL('../lab/recordings/online-boutique.jsonl.gz', import.meta.url));
const NEW_POD = 'cartservice';
/** What stands in the way of a live show; anything else is a fault, and is told as one. */
const NOT_HERE: readonly string[] = [
  'LAB_NEEDS_ROOT',
  'LAB_TOOL_MISSING',
  'LAB_NO_COMPILER',
  'BPF_NOT_PERMITTED',
  'BPF_LIBRARY_MISSING',
];

/** The whole of Netloom in two minutes, in plain words. Resolves to the exit status. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { stdout, signal } = options;
  const fault = Promise.withResolvers<never>();
  // Whatever ends the show early ends it in order.
  signal.addEventListener('abort', () => fault.reject(new NetloomError('DEMO_FAILED', 'the demo was interrupted')), {
    once: true,
  });
  fault.promise.catch(() => {});
  const onExit = (what: string): void => fault.reject(new NetloomError('DEMO_FAILED', what));

  const { stage, scheduler } = await openStage(options, onExit);
  let keep = false;
  try {
    await Promise.race([show(stage, scheduler, options), fault.promise]);
    keep = options.keep;
  } finally {
    await stage.end(keep);
  }
  stdout.write(keep ? keptText(stage, scheduler, options.name) : 'Everything of the demo has been removed again.\n');
  return 0;
}

async function openStage(
  options: DemoOptions,
  onExit: (what: string) => void,
): Promise<{ stage: Stage; scheduler: SchedulerUnderDemo }> {
  // `netloom lab down` ends what belongs to a lab; a scheduler without one must not outlive its demo.
  const start = (survives: boolean) => (snapshot: string, env: NodeJS.ProcessEnv) =>
    startScheduler(['--snapshot', snapshot], env, onExit, survives);
  if (!options.recorded) {
    try {
      await checkMeasuring();
      options.stdout.write('Building the lab, starting the scheduler and an agent on every node ...\n\n');
      const recorder: Recorder | undefined =
        options.record === undefined ? undefined : await createRecorder(options.record, DEFAULT_SCENARIO);
      const opened = await openLiveStage({
        name: options.name,
        logger: options.log,
        recorder,
        startScheduler: start(true),
        onExit,
      });
      return opened;
    } catch (error) {
      if (!(error instanceof NetloomError) || !NOT_HERE.includes(error.code) || options.record !== undefined)
        throw error;
      return openRecorded(start(false), `this machine cannot show it live (${error.message})`);
    }
  }
  return openRecorded(start(false), 'as was asked for with --recorded');
}

async function openRecorded(
  start: (snapshot: string, env: NodeJS.ProcessEnv) => Promise<SchedulerUnderDemo>,
  reason: string,
) {
  if (!existsSync(RECORDING)) {
    throw new NetloomError('DEMO_FAILED', 'the recording is not there', { place: RECORDING });
  }
  return openRecordedStage({ path: RECORDING, reason, startScheduler: start });
}

/** @throws NetloomError BPF_NOT_PERMITTED, ... where the kernel programs would not run */
async function checkMeasuring(): Promise<void> {
  const { examineMachine } = await import('../collector/doctor.ts');
  const report = await examineMachine();
  if (report.canMeasure) return;
  throw new NetloomError('BPF_NOT_PERMITTED', report.verdict, { remedy: '`netloom doctor` tells what is missing.' });
}

async function show(stage: Stage, scheduler: SchedulerUnderDemo, options: DemoOptions): Promise<void> {
  const { stdout, environment } = options;
  const style: TextStyle = {
    width: Math.min(stdout.columns ?? 80, 80),
    wide: false,
    paint: paintFor(stdout.isTty, environment),
  };
  const heading = (text: string): void => void stdout.write(`\n${style.paint('heading', text)}\n\n`);
  const say = (text: string): void => void stdout.write(`${wrap(text, 80)}\n\n`);

  if (stage.notice !== undefined) say(style.paint('warning', stage.notice));
  stdout.write(clusterText(stage.cluster));

  heading('1. What Netloom learns');
  say('Traffic runs for 20 seconds; an agent on every node reads what the sockets moved, once a second.');
  const learned = await stage.learn();
  const { edges } = await scheduler.get<{ edges: LearnedEdge[] }>('/v1/counters');
  say('Then it stops, and the learned graph stands beside what the programs in the pods counted themselves:');
  const comparison = compareMatrix(learned.still.matrix, edges);
  stdout.write(comparisonText(comparison, style));
  if (comparison.worstError > 0.01 || comparison.phantoms.length > 0) {
    throw new NetloomError('DEMO_FAILED', 'the learned graph is not what was true', {
      expected: 'every edge within 1 %',
    });
  }

  heading(`2. Where a new ${NEW_POD} pod should go`);
  const question = await stage.newPod(NEW_POD);
  const { hosts, tookMs } = await askPrioritize(scheduler.extenderPort, question.pod, question.candidates);
  say(
    `POST /prioritize, as kube-scheduler sends it, with ${question.candidates.length} nodes that have room; ` +
      `answered in ${humanDuration(tookMs)}: ${JSON.stringify(hosts)}`,
  );
  stdout.write(`${answerText(NEW_POD, question.candidates, hosts)}\n`);
  const workload = `${stage.cluster.scenario.namespace}/Deployment/${NEW_POD}`;
  stdout.write(explainText(await scheduler.get<ExplainReply>('/v1/explain', { workload }), style));

  heading('3. What it changes');
  say('Now every pod is deleted and made again, one after the other while traffic runs, each where the answer says.');
  const moves = await stage.recreate(async ({ pod, candidates }) => {
    const answer = await askPrioritize(scheduler.extenderPort, pod, candidates);
    return answer.hosts;
  });
  stdout.write(`${movesText(moves)}\n`);
  const after = await stage.measure();
  stdout.write(
    crossingText(crossingBetween(learned.before, learned.after), crossingBetween(after.before, after.after)),
  );

  heading('4. What a limit does');
  const limited = await stage.limit();
  if (limited === undefined) {
    say('Limits of bandwidth are shown live only: run it as root on a Linux machine with BPF.');
    return;
  }
  const { report, pod } = limited;
  const rows = report.rows.filter((row) => row.pod === pod);
  stdout.write(limitedText(limited, { fq: report.kernel.fq, state: rows[0]?.state ?? '' }));
  stdout.write(`${limitsText(report, rows, stage.cluster.scenario.namespace, style)}\n`);
  if (limited.heldBps > limited.limitBps) {
    throw new NetloomError('DEMO_FAILED', 'the pod received more than its limit', {
      expected: humanBitrate(limited.limitBps),
      found: humanBitrate(limited.heldBps),
    });
  }
}

function keptText(stage: Stage, scheduler: SchedulerUnderDemo, name: string): string {
  const api = `--api 127.0.0.1:${scheduler.apiPort}`;
  return [
    `It is left running${stage.directory === undefined ? '' : ` (${stage.directory})`}. Look around:`,
    `  bin/netloom graph ${api}`,
    `  bin/netloom top ${api}`,
    `  bin/netloom explain ${stage.cluster.scenario.namespace}/deployment/frontend ${api}`,
    `Remove it with: bin/netloom lab down${name === 'demo' ? '' : ` --name ${name}`}`,
    '',
  ].join('\n');
}
