/** Options declared once: parsing, precedence, help texts, `--print-config` and documentation come from the declaration. */
export { formatAddress, isLoopback, parseAddress } from './address.ts';
export { parseConfigFile, type ConfigFile, type Sections } from './file.ts';
export { printConfig } from './print.ts';
export {
  formatBitrateExact,
  formatBytesExact,
  formatDuration,
  parseBitrate,
  parseBytes,
  parseDuration,
} from './quantities.ts';
export { readConfigFile } from './read.ts';
export { resolveOptions, type GivenFlag, type Resolved } from './resolve.ts';
export {
  defineOptions,
  environmentName,
  flagName,
  isConfigurable,
  originText,
  type Address,
  type OptionSpec,
  type OptionSpecs,
  type OptionType,
  type Origin,
  type ValuesOf,
} from './types.ts';
export { expectation, formatValue, parseValue } from './value.ts';
