/**
 * A process of its own with the server to be measured, told by its argument: `extender` over the big cluster's view,
 * or `floor`: the same HTTP server, which reads the body and answers `[]` at once. Says its port, and ends with its parent.
 */
import { Registry } from 'prom-client';
import { silentLogger } from '../../lib/log.ts';
import { BodyPool, readBody } from '../../scheduler/extender/body.ts';
import { createExtenderMetrics, DEFAULT_EXTENDER_OPTIONS, startExtender } from '../../scheduler/extender/index.ts';
import { createListener } from '../../scheduler/extender/listener.ts';
import { JSON_TYPE, send } from '../../scheduler/extender/reply.ts';
import { placementSettings } from '../../scheduler/placement/index.ts';
import { buildView } from '../../test/support/view-fixture.ts';
import { viewSpec } from './big-cluster.ts';

process.on('disconnect', () => process.exit(0));
const port = process.argv[2] === 'floor' ? await startFloor() : await startReal();
process.send?.({ port });

async function startReal(): Promise<number> {
  const view = buildView(viewSpec(Number(process.argv[3] ?? 0)));
  const registry = new Registry();
  const extender = await startExtender(
    { listen: { host: '127.0.0.1', port: 0 }, placement: placementSettings() },
    {
      view: () => view,
      ready: () => ({ ready: true, reason: '' }),
      metricsText: () => registry.metrics(),
      onDecision: () => undefined,
      logger: silentLogger,
      registry,
    },
  );
  return extender.address.port;
}

function startFloor(): Promise<number> {
  const options = { ...DEFAULT_EXTENDER_OPTIONS, tls: undefined };
  const bodies = new BodyPool();
  const limits = { limitBytes: options.bodyLimitBytes, timeoutMs: options.bodyTimeoutMs };
  const { server } = createListener(
    (request, response) =>
      void readBody(request, bodies, limits).then((body) => {
        if (body.kind === 'whole') body.done();
        send(response, { status: 200, type: JSON_TYPE, text: '[]' });
      }),
    options,
    createExtenderMetrics(new Registry()),
  );
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
  });
}
