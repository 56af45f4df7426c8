import type { Lab, LabRunResult } from '../../lab/index.ts';
import type { TrueWorkloadEdge } from '../../lab/matrix.ts';
import {
  humanBytes,
  humanCount,
  humanShare,
  renderTable,
  type TextStyle,
  printResult,
} from '../../lib/output/index.ts';
import { defineCommand } from '../command.ts';
import { labSection } from '../options/lab.ts';
import { outputOptions } from '../options/common.ts';

export default defineCommand({
  name: 'lab',
  summary: 'build a small cluster of network namespaces with real traffic',
  description: [
    'Nodes, pods and Services are network namespaces, addresses and nftables rules on this machine; pods are processes ' +
      'that talk with a known traffic matrix. Needs root. Touches nothing that it did not make.',
    'up builds it and leaves it running; down removes it, also after a crash; run builds it, lets traffic run, prints ' +
      'the true matrix and removes it; demo shows all of Netloom with it, in plain words.',
  ],
  examples: [
    { text: 'Build it, look around, remove it.', command: 'netloom lab up && netloom lab down' },
    { text: 'What truly moves in half a minute.', command: 'netloom lab run --duration 30s' },
    { text: 'The show, left running afterwards.', command: 'netloom lab demo --keep' },
  ],
  section: labSection,
  positionals: [
    { name: 'ACTION', help: 'up, down, run or demo.', required: true, values: ['up', 'down', 'run', 'demo'] },
  ],
  flags: {
    duration: {
      type: 'duration',
      default: '10s',
      min: '1s',
      max: '1d',
      help: 'run: how long traffic runs.',
      group: 'Action',
      configurable: false,
    },
    keep: { type: 'bool', help: 'run, demo: leave the lab running.', group: 'Action', configurable: false },
    recorded: {
      type: 'bool',
      help: 'demo: replay the recorded reports instead of measuring, as happens without root or BPF.',
      group: 'Action',
      configurable: false,
    },
    record: {
      type: 'path',
      placeholder: 'FILE',
      help: 'demo: write the reports into this file, for later replay.',
      group: 'Action',
      configurable: false,
    },
    all: { type: 'bool', help: 'down: every lab of this machine.', group: 'Action', configurable: false },
    ...outputOptions,
  },
  longRunning: true,
  async run({ options, args, stdout, environment, log, signal }) {
    const { scenario, name, rateFactor } = options;
    switch (args[0]) {
      case 'up': {
        const { labUp } = await import('../../lab/index.ts');
        const lab = await labUp({ name, scenario, rateFactor, logger: log });
        stdout.write(upText(lab));
        return 0;
      }
      case 'down': {
        const { labDown, labDownAll } = await import('../../lab/index.ts');
        const reports = options.all ? await labDownAll({ logger: log }) : [await labDown({ name, logger: log })];
        for (const report of reports) {
          stdout.write(
            `lab ${report.name}: ${humanCount(report.namespaces)} namespaces and ` +
              `${humanCount(report.processes)} processes removed\n`,
          );
        }
        return 0;
      }
      case 'demo': {
        const { runDemo } = await import('../../demo/run-demo.ts');
        return runDemo({
          name,
          keep: options.keep,
          recorded: options.recorded,
          record: options.record,
          stdout,
          environment,
          log,
          signal,
        });
      }
      default: {
        const { labRun } = await import('../../lab/index.ts');
        const { duration: durationMs, keep } = options;
        const result = await labRun({ name, scenario, rateFactor, durationMs, keep, signal, logger: log });
        const data = { matrix: result.matrix, crossing: result.crossing };
        await printResult(stdout, options.output, environment, { data, text: (style) => runText(result, style) });
        return 0;
      }
    }
  },
});

function upText(lab: Lab): string {
  const { state, dir } = lab;
  return [
    `lab ${state.name} is up: ${humanCount(state.nodes.length)} nodes, ${humanCount(state.pods.length)} pods, ` +
      `${humanCount(state.services.length)} Services.`,
    `  state     ${dir}/lab.json`,
    `  snapshot  ${dir}/snapshot.json (for netloom scheduler --snapshot)`,
    `  scopes    ${dir}/scopes/NODE.txt (for netloom agent --scope)`,
    `Remove it with: netloom lab down${state.name === 'demo' ? '' : ` --name ${state.name}`}`,
    '',
  ].join('\n');
}

function runText({ matrix, crossing }: LabRunResult, style: TextStyle): string {
  const bytesOf = ({ byServers }: TrueWorkloadEdge): number => byServers.bytesOut + byServers.bytesIn;
  const table = renderTable<TrueWorkloadEdge>(
    [
      { header: 'CLIENT', cell: (edge) => edge.client, shrink: true },
      { header: 'SERVER', cell: (edge) => edge.server, shrink: true },
      { header: 'OUT', cell: (edge) => humanBytes(edge.byServers.bytesOut) },
      { header: 'IN', cell: (edge) => humanBytes(edge.byServers.bytesIn) },
      { header: 'CONN', cell: (edge) => humanCount(edge.byServers.connections) },
    ],
    matrix.workloads.toSorted((a, b) => bytesOf(b) - bytesOf(a)),
    style,
  );
  return `${table}\n${humanShare(crossing.nodeShare)} of the bytes crossed nodes.\n`;
}
