import { parentPort, workerData } from 'node:worker_threads';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import { lowerThreadPriority } from '../../lib/thread-priority.ts';
import { type GraphDatabase, openGraphDatabase } from './graph-database.ts';
import type { FromStore, StoreFailure, ToStore } from './store-messages.ts';

lowerThreadPriority();

/** The store's thread: one message at a time, each answered. */
const port = parentPort;
if (port === null) throw new Error('store-worker runs as a worker thread only');
const { path, maxBytes } = workerData as { path: string; maxBytes: number };
let database: GraphDatabase | undefined;

function answer(message: FromStore, transfer: ArrayBuffer[] = []): void {
  port!.postMessage(message, transfer);
}

function failure(error: unknown): StoreFailure {
  if (error instanceof NetloomError) {
    const { place, expected, found } = error.details;
    return { code: error.code, message: error.message, place, expected, found, remedy: error.remedy };
  }
  return {
    code: undefined,
    message: messageOf(error),
    place: path,
    expected: undefined,
    found: undefined,
    remedy: undefined,
  };
}

port.on('message', (message: ToStore) => {
  try {
    switch (message.op) {
      case 'open': {
        const opened = openGraphDatabase({ path, maxBytes, nowMs: Date.now() });
        database = opened.database;
        const { keys, figures, ports } = opened.state.edges;
        const movedAside = opened.movedAside === undefined ? undefined : failure(opened.movedAside);
        answer({ op: 'opened', state: opened.state, plan: opened.plan, movedAside }, [
          keys.buffer as ArrayBuffer,
          figures.buffer as ArrayBuffer,
          ports.buffer as ArrayBuffer,
        ]);
        return;
      }
      case 'save':
      case 'savePlan': {
        const from = performance.now();
        if (message.op === 'save') database?.save(message.delta);
        else database?.savePlan(message.plan);
        answer({ op: 'saved', tookMs: performance.now() - from });
        return;
      }
      case 'close':
        database?.close();
        answer({ op: 'closed' });
        port.close();
    }
  } catch (error) {
    answer({ op: 'failed', failure: failure(error) });
  }
});
