//! `POST /v1/plan`: what `POST /v1/upscale` would do or refuse, by the header of the image.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};

use super::App;
use super::observe::Record;
use super::problem::Problem;
use super::request::{self, UpscaleRequest, Wants};
use super::upload::Budget;
use crate::pipeline::Plan;

/// Reads and checks the request exactly as upscale does; then asks the pipeline without admitting anything.
pub async fn plan(
    State(app): State<App>,
    Extension(budget): Extension<Arc<Budget>>,
    Extension(record): Extension<Arc<Record>>,
    request: Request,
) -> Result<Json<Plan>, Problem> {
    let UpscaleRequest { bytes, options, held: _held } =
        request::receive(&app, &budget, &record, request, Wants::Plan).await?;
    let plan = app.pipeline.plan(bytes, &options).await?;
    record.goes_by(&plan);
    Ok(Json(plan))
}
