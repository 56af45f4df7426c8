import { Client, credentials, type ClientDuplexStream } from '@grpc/grpc-js';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Move } from '../lab/demo/index.ts';
import { openRecording } from '../lab/recording-file.ts';
import type { RecordingEntry, RecordingHeader } from '../lab/recording.ts';
import { NetloomError } from '../lib/errors.ts';
import type { LabState } from '../lab/state.ts';
import { STREAM_PATH } from './recording-proxy.ts';
import type { SchedulerUnderDemo } from './scheduler-under-demo.ts';
import type { LearnSpan, Question, Span, Stage } from './stage.ts';

export interface RecordedOptions {
  readonly path: string;
  /** Why it is not live. */
  readonly reason: string;
  readonly startScheduler: (snapshot: string, env: NodeJS.ProcessEnv) => Promise<SchedulerUnderDemo>;
}

/** Plays a recording into a real scheduler, at the pace at which it was made: reports carry ages. */
export async function openRecordedStage(
  options: RecordedOptions,
): Promise<{ stage: Stage; scheduler: SchedulerUnderDemo }> {
  const recording = await openRecording(options.path);
  const player = new Player(recording.entries[Symbol.asyncIterator](), options.path);
  const dir = await mkdtemp(join(tmpdir(), 'netloom-demo-'));
  try {
    const cluster = (await player.reading('cluster')) as LabState;
    player.snapshotFile = join(dir, 'snapshot.json');
    await player.firstSnapshot();
    const scheduler = await options.startScheduler(player.snapshotFile, process.env);
    player.connect(scheduler.agentsPort);
    const stage = new RecordedStage(cluster, player, scheduler, dir, noticeOf(recording.header, options.reason));
    return { stage, scheduler };
  } catch (error) {
    player.close();
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

function noticeOf({ recordedOn, version }: RecordingHeader, reason: string): string {
  return (
    `RECORDED: ${reason}. What follows is a recording (Netloom ${version}, ${recordedOn}): the reports of its agents ` +
    'are played into a real scheduler, whose graph and answers are made now; what was measured in the lab is as recorded.'
  );
}

class RecordedStage implements Stage {
  readonly cluster: LabState;
  readonly notice: string;
  readonly directory = undefined;
  readonly #player: Player;
  readonly #scheduler: SchedulerUnderDemo;
  readonly #dir: string;

  constructor(cluster: LabState, player: Player, scheduler: SchedulerUnderDemo, dir: string, notice: string) {
    this.cluster = cluster;
    this.#player = player;
    this.#scheduler = scheduler;
    this.#dir = dir;
    this.notice = notice;
  }

  async learn(): Promise<LearnSpan> {
    return (await this.#player.reading('learn')) as LearnSpan;
  }

  async newPod(): Promise<Question> {
    return (await this.#player.reading('question')) as Question;
  }

  async recreate(): Promise<readonly Move[]> {
    return (await this.#player.reading('moves')) as Move[];
  }

  async measure(): Promise<Span> {
    return (await this.#player.reading('measure')) as Span;
  }

  /** Packets that wait cannot be recorded. */
  limit(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async end(keep: boolean): Promise<void> {
    this.#player.close();
    if (keep) return;
    await this.#scheduler.stop();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

class Player {
  readonly #entries: AsyncIterator<RecordingEntry>;
  readonly #path: string;
  readonly #streams = new Map<string, ClientDuplexStream<Buffer, Buffer>>();
  #client: Client | undefined;
  #early: RecordingEntry[] = [];
  #fromMs = performance.now();
  #started = false;
  snapshotFile = '';

  constructor(entries: AsyncIterator<RecordingEntry>, path: string) {
    this.#entries = entries;
    this.#path = path;
  }

  connect(port: number): void {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  }

  /** Plays up to the first snapshot; messages before it wait for the scheduler. */
  async firstSnapshot(): Promise<void> {
    for (;;) {
      const entry = await this.#next('a snapshot');
      if (entry.kind === 'message') this.#early.push(entry);
      if (entry.kind !== 'snapshot') continue;
      await this.#show(entry);
      return;
    }
  }

  /** Plays, in the recording's time, up to the reading with this label. */
  async reading(label: string): Promise<object> {
    for (const entry of this.#early.splice(0)) await this.#show(entry);
    for (;;) {
      const entry = await this.#next(`the reading ${label}`);
      if (this.#client !== undefined) await this.#wait(entry.atMs);
      if (entry.kind === 'reading' && entry.label === label) return entry.reading;
      await this.#show(entry);
    }
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.end();
    this.#client?.close();
  }

  async #wait(atMs: number): Promise<void> {
    if (!this.#started) {
      this.#started = true;
      this.#fromMs = performance.now() - atMs;
    }
    const waitMs = atMs - (performance.now() - this.#fromMs);
    if (waitMs > 0) await sleep(waitMs);
  }

  async #show(entry: RecordingEntry): Promise<void> {
    if (entry.kind === 'snapshot') {
      await writeFile(`${this.snapshotFile}.new`, JSON.stringify(entry.snapshot));
      await rename(`${this.snapshotFile}.new`, this.snapshotFile);
    } else if (entry.kind === 'message') {
      this.#streamOf(entry.node).write(Buffer.from(entry.data));
    }
  }

  #streamOf(node: string): ClientDuplexStream<Buffer, Buffer> {
    let stream = this.#streams.get(node);
    if (stream === undefined) {
      const same = (bytes: Buffer): Buffer => bytes;
      stream = this.#client!.makeBidiStreamRequest(STREAM_PATH, same, same);
      stream.on('data', () => {});
      stream.on('error', () => {});
      this.#streams.set(node, stream);
    }
    return stream;
  }

  async #next(wanted: string): Promise<RecordingEntry> {
    const { value, done } = (await this.#entries.next()) as IteratorResult<RecordingEntry, undefined>;
    if (done === true) {
      throw new NetloomError('RECORDING_INVALID', 'the recording ends too early', {
        place: this.#path,
        expected: wanted,
      });
    }
    return value;
  }
}
