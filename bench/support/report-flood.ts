import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { fork } from 'node:child_process';
import { STREAM_METHOD } from '../../collector/report/connection.ts';
import { decodeSchedulerMessage, encodeAgentMessage } from '../../proto/codec.ts';
import { NO_COST, NO_LOSSES } from '../../proto/report.ts';
import { nodeName, simulatedEdges } from '../../test/support/simulated-agents.ts';

/**
 * Agents in a child process that send as fast as they are acknowledged. Their reports are encoded beforehand, only
 * the number is written anew, so that the sender's core is not what is measured.
 */
export interface FloodOptions {
  readonly target: string;
  readonly agents: number;
  readonly edges: number;
  /** Reports of one agent under way. */
  readonly window: number;
}

/** Resolves once all agents are welcomed, to what ends the child. */
export async function startFlood(options: FloodOptions): Promise<() => Promise<void>> {
  const child = fork(import.meta.filename, [], { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve());
    child.once('exit', (code) => reject(new Error(`the flood ended with code ${code}`)));
    child.send(options);
  });
  return () => {
    child.disconnect();
    return ended;
  };
}

/** Bytes of a sequence number written at full width: a varint may be longer than it needs to be. */
const SEQ_BYTES = 5;

/** A report of which only the number is missing: at `seqAt`. */
function template(agent: number, options: FloodOptions): { readonly message: Buffer; readonly seqAt: number } {
  const edges = simulatedEdges(agent, { ...options, intervalMs: 10_000 });
  const mapId = mapIdOf(agent);
  const report = { mapId, periodMs: 10_000, ageMs: 3, edges, uplinks: [], losses: NO_LOSSES, cost: NO_COST, merged: 0 };
  // 2^28 is the least number of five bytes; it stands behind the report's tag, its length and the tag of seq.
  const message = encodeAgentMessage({ report: { ...report, seq: 2 ** 28 } });
  const seqAt = message.indexOf(Buffer.from([0x80, 0x80, 0x80, 0x80, 0x01]));
  return { message, seqAt };
}

function mapIdOf(agent: number): Uint8Array {
  const mapId = new Uint8Array(16).fill(7);
  new DataView(mapId.buffer).setUint32(0, agent);
  return mapId;
}

function sendFrom(agent: number, options: FloodOptions, onWelcome: () => void): void {
  const { message, seqAt } = template(agent, options);
  const same = (bytes: Buffer): Buffer => bytes;
  const client = new Client(options.target, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.per_rpc_retry_buffer_size': 0,
  });
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(STREAM_METHOD, same, same, new Metadata());
  call.on('error', () => {});
  let seq = 0;
  const send = (upTo: number): void => {
    while (seq < upTo) {
      let rest = ++seq;
      for (let i = 0; i < SEQ_BYTES; i++, rest >>>= 7)
        message[seqAt + i] = (rest & 0x7f) | (i < SEQ_BYTES - 1 ? 0x80 : 0);
      call.write(Buffer.from(message));
    }
  };
  call.on('data', (bytes: Buffer) => {
    const answer = decodeSchedulerMessage(bytes);
    if (answer === undefined || 'ranges' in answer) return;
    if ('welcome' in answer) onWelcome();
    send(('ack' in answer ? answer.ack.seq : 0) + options.window);
  });
  const hello = { protocol: 1, node: nodeName(agent), mapId: mapIdOf(agent), intervalMs: 10_000, version: 'flood' };
  call.write(encodeAgentMessage({ hello }));
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit(0));
  process.once('message', (options: FloodOptions) => {
    let welcomed = 0;
    for (let agent = 0; agent < options.agents; agent++) {
      sendFrom(agent, options, () => {
        if (++welcomed === options.agents) process.send?.({ ready: true });
      });
    }
  });
}
