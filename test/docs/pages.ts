/** Pages in the order in which their examples run: earlier ones make what later ones read. */
export const pages = [
  'README.md',
  'cache.md',
  'web.md',
  'events.md',
  'notifications.md',
  'transcoding.md',
  'manifest.md',
  'ranking.md',
  'jobs.md',
  'notebooks.md',
  'telemetry.md',
  'configuration.md',
] as const;
