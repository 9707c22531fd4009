/** Sizes of all pages of JobService. */
export const pageSizes = { fallback: 50, most: 500 } as const;
