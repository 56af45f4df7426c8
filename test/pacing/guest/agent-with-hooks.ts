import { join } from 'node:path';
import { openLimits } from '../../../bandwidth/limits-agent.ts';
import { ensureBpffs } from '../../../lib/bpf/index.ts';
import { createLogger } from '../../../lib/log.ts';

/** The limiting half of the agent with a kind of hooks that it would not choose. Usage: NODE SNAPSHOT STATE tcx|clsact */

const [node, snapshot, state, hooks] = process.argv.slice(2);
ensureBpffs(join(state!, 'bpf'));
const agent = await openLimits({
  node: node!,
  purpose: 'enforce',
  from: { snapshot: snapshot! },
  pins: join(state!, 'bpf', 'limits'),
  state: state!,
  hooks: hooks as 'tcx' | 'clsact',
  logger: createLogger({ level: 'warn', format: 'text', stream: process.stderr }),
});
await agent.start();
process.on('SIGTERM', () => {
  void agent.stop().then(() => process.exit(0));
});
