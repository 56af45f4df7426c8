/**
 * The limiting half of the agent as a process of its own, with options that `netloom agent` does not have.
 *
 *   node limits-child.ts '{"node": ..., "purpose": ..., ...}'
 */
import { openLimits, type LimitsOptions } from '../../../bandwidth/limits-agent.ts';
import { createLogger } from '../../../lib/log.ts';

const options = JSON.parse(process.argv[2]!) as Omit<LimitsOptions, 'logger'>;
const limits = await openLimits({ ...options, logger: createLogger({ level: 'info', format: 'json' }) });
await limits.start();
process.once('SIGTERM', () => {
  void limits.stop().then(() => process.exit(0));
});
