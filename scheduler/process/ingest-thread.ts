// Entry of the ingest thread.
import { parentPort, workerData } from 'node:worker_threads';
import { NetloomError, messageOf } from '../../lib/errors.ts';
import { createLogger } from '../../lib/log.ts';
import { lowerThreadPriority } from '../../lib/thread-priority.ts';
import { transferOf } from '../placement/view-message.ts';
import { startIngest, type Ingest } from './ingest.ts';
import type { FromIngest, IngestData, ToIngest } from './messages.ts';

lowerThreadPriority();
const port = parentPort!;
const { options, logLevel, logFormat } = workerData as IngestData;
const logger = createLogger({ level: logLevel, format: logFormat });
const post = (message: FromIngest, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

let ingest: Ingest | undefined;
try {
  ingest = await startIngest(options, {
    logger,
    onView: (view, placed) => post({ type: 'view', view, placed }, transferOf(view)),
    onReadiness: (readiness) => post({ type: 'readiness', readiness }),
  });
  post({ type: 'started', agentsPort: ingest.agentsPort, apiPort: ingest.apiPort });
  port.on('message', (message: ToIngest) => void handle(message));
} catch (error) {
  const known = error instanceof NetloomError ? error : undefined;
  const { place, expected, found } = known?.details ?? {};
  post({
    type: 'failed',
    code: known?.code ?? 'SCHEDULER_START_FAILED',
    message: messageOf(error),
    details: {
      ...(place === undefined ? {} : { place }),
      ...(expected === undefined ? {} : { expected }),
      ...(found === undefined ? {} : { found }),
      ...(known === undefined ? {} : { remedy: known.remedy }),
    },
  });
}

async function handle(message: ToIngest): Promise<void> {
  switch (message.type) {
    case 'decisions':
      ingest?.decided(message.answers);
      return;
    case 'late':
      ingest?.late(message.podUid);
      return;
    case 'metrics':
      post({ type: 'metrics', id: message.id, text: await ingest!.metricsText().catch(() => '') });
      return;
    case 'stop':
      await ingest!.stop();
      port.close();
  }
}
