/** Ids given by the server; parts carry their group and key behind dots. */
export const jobId = /^[a-z0-9]{1,63}(\.[A-Za-z0-9_-]{1,64}){0,20}$/;
