"""A strict Service Quotas in memory, shaped like boto3's client: it knows the vCPU quotas of Fargate."""

from __future__ import annotations

from typing import Any

from tests.fakes.ecs_limits import client_error, validate

ON_DEMAND_VCPU = "L-3032A538"
SPOT_VCPU = "L-36FBB829"
NAMES = {ON_DEMAND_VCPU: "Fargate On-Demand vCPU resource count", SPOT_VCPU: "Fargate Spot vCPU resource count"}


class FakeQuotas:
    """The fake service.

    Args:
        on_demand: vCPUs that on-demand tasks may have at the same time.
        spot: vCPUs that Spot tasks may have.
    """

    def __init__(self, on_demand: float = 4000.0, spot: float = 4000.0) -> None:
        self.values = {ON_DEMAND_VCPU: on_demand, SPOT_VCPU: spot}
        self.error: Exception | None = None

    def get_service_quota(self, **parameters: Any) -> dict[str, Any]:
        """GetServiceQuota."""
        validate("GetServiceQuota", parameters, "service-quotas")
        if self.error is not None:
            raise self.error
        code = parameters["QuotaCode"]
        if parameters["ServiceCode"] != "fargate" or code not in self.values:
            raise client_error("GetServiceQuota", "NoSuchResourceException", "The request failed: no such quota.")
        quota = {
            "ServiceCode": "fargate",
            "QuotaCode": code,
            "QuotaName": NAMES[code],
            "Value": self.values[code],
            "Adjustable": True,
        }
        return {"Quota": quota}

    def close(self) -> None:
        """Do nothing."""
